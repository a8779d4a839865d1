"""Write the address of the book's repository into every place that derives from it.

    python tools/stamp.py                                 print the present address
    python tools/stamp.py https://github.com/owner/name   write this one everywhere
    python tools/stamp.py none                            take it out again
    python tools/stamp.py --check                         fail where a place differs

The address lives in `_config.yml` (`repository: url:`). From it derive the line
`repository = "..."` of each notebook's first cell, the README's line of badges (the one that ends
with `<!-- address -->`) and `repository-code` in CITATION.cff. The site's buttons read
`_config.yml`. Nothing else in those files changes, not even the spacing of a notebook's JSON.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = re.compile(r"https://github\.com/(?P<owner>[\w-]+)/(?P<name>[\w.-]+)")

CONFIG = re.compile(r'(?m)^(repository:(?:\n  .*)*?\n  url: )"(?P<url>.*)"$')
CELL_IN_JSON = re.compile(r'("repository = \\")(?:[^"\\]*)(\\")')
CELL = re.compile(r'(?m)^(repository = ")[^"]*(")')
BADGES = re.compile(r"(?m)^.*<!-- address -->$")
CITATION = re.compile(r"(?m)^(?:# )?repository-code:.*$")


def badges(url: str, root: Path) -> str:
    """The README's line: state of the tests, the published book, the first notebook in Colab."""
    if not url:
        return "<!-- address -->"
    owner, name = ADDRESS.fullmatch(url).group("owner", "name")  # type: ignore[union-attr]
    host = f"{owner.lower()}.github.io"
    site = f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"
    tests = f"{url}/actions/workflows/test.yml"
    first = re.search(r"file: (notebooks/\w+)", (root / "_toc.yml").read_text(encoding="utf-8"))
    colab = f"https://colab.research.google.com/github/{owner}/{name}/blob/main/{first[1]}.ipynb"
    return (
        f"[![Tests]({tests}/badge.svg)]({tests}) [Read the book]({site}) · "
        f"[Open its first notebook in Colab]({colab}) <!-- address -->"
    )


def places(url: str, root: Path) -> dict[Path, tuple[re.Pattern[str], Callable[..., str]]]:
    """For each file: the pattern of the one spot that holds the address, and what belongs there."""
    code = f'repository-code: "{url}"' if url else "# repository-code: written by `make stamp`"
    found: dict[Path, tuple[re.Pattern[str], Callable[..., str]]] = {
        root / "_config.yml": (CONFIG, lambda m: f'{m[1]}"{url}"'),
        root / "README.md": (BADGES, lambda m: badges(url, root)),
        root / "CITATION.cff": (CITATION, lambda m: code),
        root / "tools" / "first_cell.py": (CELL, lambda m: m[1] + url + m[2]),
    }
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        found[path] = (CELL_IN_JSON, lambda m: m[1] + url + m[2])
    return found


def present(root: Path = ROOT) -> str:
    """The address in `_config.yml`; empty where none is set."""
    match = CONFIG.search((root / "_config.yml").read_text(encoding="utf-8"))
    if match is None:
        raise SystemExit('_config.yml has no line `  url: "..."` under `repository:`')
    return match["url"]


def stamp(url: str, root: Path = ROOT, write: bool = True) -> list[str]:
    """Write `url` everywhere; return the files that differed, or that have no place for it."""
    differing = []
    for path, (pattern, replacement) in places(url, root).items():
        name = path.relative_to(root).as_posix()
        text = path.read_bytes().decode("utf-8") if path.is_file() else ""
        new, count = pattern.subn(replacement, text, count=1)
        if count == 0:
            differing.append(f"{name}: no place for the address")
        elif new != text:
            differing.append(name)
            if write:
                path.write_bytes(new.encode("utf-8"))
    return differing


def main(arguments: list[str]) -> int:
    """Run from the command line; return the exit status."""
    url = present()
    if not arguments:
        print(url or "no address is set; `make stamp url=https://github.com/owner/name` sets one")
        return 0
    if arguments == ["--check"]:
        wrong = stamp(url, write=False)
        print("\n".join(wrong) or f"every place agrees: {url or 'no address'}")
        return 1 if wrong else 0
    url = "" if arguments[0] == "none" else arguments[0].rstrip("/").removesuffix(".git")
    if url and not ADDRESS.fullmatch(url):
        print(f"not an address of the form https://github.com/owner/name: {arguments[0]}")
        return 2
    changed = stamp(url)
    print("\n".join(changed) or "nothing to change")
    return 1 if any("no place" in line for line in changed) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
