"""The built site: every link leads somewhere, nothing is fetched from elsewhere, nothing drifts.

Each check is a function that returns a list of faults, so that the last tests can plant a fault and
see it reported.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import stamp
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parent.parent
RESULT = "application/vnd.igr.result+json"
ELSEWHERE = re.compile(r"^\s*(https?:)?//", re.IGNORECASE)
CSS_ELSEWHERE = re.compile(r"(url\(|@import)\s*[\"']?\s*(https?:)?//", re.IGNORECASE)
JS_ELSEWHERE = re.compile(
    r"(fetch\(|import\(?|importScripts\(|\.src\s*=|\.open\([^)]{0,20})\s*[\"'`]\s*(https?:)?//"
)
Pages = dict[Path, BeautifulSoup]


# ---- the site ------------------------------------------------------------------------------


def read(site: Path) -> Pages:
    """Parse every page."""
    return {
        path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in sorted(site.rglob("*.html"))
        if "_static" not in path.parts
    }


@pytest.fixture(scope="session")
def pages(site: Path) -> Pages:
    """All pages, parsed once."""
    return read(site)


def chapters(pages: Pages) -> Pages:
    """The pages that come from notebooks."""
    return {path: page for path, page in pages.items() if path.parent.name == "notebooks"}


def toc_notebooks() -> list[Path]:
    """The notebooks that the table of contents lists."""
    names = re.findall(r"file: *(notebooks/\w+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [ROOT / f"{name}.ipynb" for name in names]


def stored_rows() -> list[tuple[str, dict]]:
    """Every result row that a notebook stores, with the name of its page."""
    return [
        (f"{path.stem}.html", output["data"][RESULT])
        for path in toc_notebooks()
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        for output in cell.get("outputs", [])
        if RESULT in output.get("data", {})
    ]


# ---- the checks ----------------------------------------------------------------------------


def references(page: BeautifulSoup) -> Iterator[tuple[str, str]]:
    """Every address in a page, with the name of the tag that holds it."""
    for tag in page.find_all(True):
        for attribute in ("href", "src", "data", "poster", "action"):
            if value := tag.get(attribute):
                yield tag.name, value
        for part in tag.get("srcset", "").split(","):
            if part.strip():
                yield tag.name, part.split()[0]
        if tag.name == "meta" and (tag.get("http-equiv") or "").lower() == "refresh":
            yield "meta", tag["content"].split("url=")[-1]


def broken_links(pages: Pages) -> list[str]:
    """Addresses inside the site whose file or anchor does not exist."""
    anchors = {
        path: {tag[key] for tag in page.find_all(True) for key in ("id", "name") if tag.get(key)}
        for path, page in pages.items()
    }
    faults = []
    for path, page in pages.items():
        for _, address in references(page):
            if re.match(r"([a-z]+:|//)", address, re.IGNORECASE) or address == "#":
                continue
            file, _, anchor = address.partition("#")
            target = path
            if file := unquote(file.split("?")[0]):
                target = (path.parent / file).resolve()
            if not target.is_file():
                faults.append(f"{path.name}: no file {address}")
            elif anchor and target in anchors and unquote(anchor) not in anchors[target]:
                faults.append(f"{path.name}: no anchor {address}")
    return faults


def silent_pictures(pages: Pages) -> list[str]:
    """Pictures that say nothing to a reader who cannot see them."""
    return [
        f"{path.name}: no alt text on {image.get('src')}"
        for path, page in pages.items()
        for image in page.find_all("img")
        if not (image.get("alt") or "").strip()
    ]


def other_hosts(pages: Pages) -> list[str]:
    """Whatever would send a request to another host while a page is read."""
    faults = []
    for path, page in pages.items():
        for tag, address in references(page):
            if tag != "a" and ELSEWHERE.match(address):
                faults.append(f"{path.name}: {tag} asks {address}")
        for tag in page.find_all(style=True):
            if CSS_ELSEWHERE.search(tag["style"]):
                faults.append(f"{path.name}: style asks {tag['style']}")
        for tag in page.find_all("style"):
            if CSS_ELSEWHERE.search(tag.get_text()):
                faults.append(f"{path.name}: a style sheet in the page asks another host")
        for tag in page.find_all("script"):
            if re.search(r"[\"'`](https?:)?//\w", tag.string or ""):
                faults.append(f"{path.name}: a script in the page names another host")
    return faults


def bare_pictures(pages: Pages) -> list[str]:
    """Pictures of a chapter that have no caption, or no number of their own."""
    faults, numbers = [], set()
    for path, page in pages.items():
        for image in page.select("article img"):
            figure = image.find_parent("figure")
            number = figure and figure.select_one("figcaption .caption-number")
            text = figure and figure.select_one("figcaption .caption-text")
            label = number.get_text(strip=True) if number else ""
            if not label or not text or len(text.get_text(strip=True)) < 5:
                faults.append(f"{path.name}: no caption or number on {image.get('src')}")
            elif (label, id(figure)) not in numbers and label in {n for n, _ in numbers}:
                faults.append(f"{path.name}: {label} twice")
            numbers.add((label, id(figure)))
    return faults


def drifted_rows(page: BeautifulSoup, stored: list[tuple[str, dict]]) -> list[str]:
    """Rows of the results page that are not the stored ones."""
    shown = []
    for row in page.select("table.igr-results tbody tr"):
        cells = [cell.get_text(" ", strip=True) for cell in row.find_all("td")]
        link = row.select_one("td:first-child a[href*='notebooks/']")
        shown.append((cells[0], link["href"].split("notebooks/")[1] if link else "", cells[1]))
    wanted = [(row["method"], f"{page}#{row['anchor']}", row["score"]) for page, row in stored]
    faults = [f"no row for {method} at {where}" for method, where, _ in wanted
              if (method, where) not in {row[:2] for row in shown}]  # fmt: skip
    if len(shown) != len(wanted):
        faults.append(f"{len(shown)} rows shown, {len(wanted)} stored")
    scores = sorted(float(re.match(r"[-\d.,]+", row[2])[0].replace(",", "")) for row in shown)
    if scores != pytest.approx(sorted(score for *_, score in wanted), rel=0.01):
        faults.append("the scores shown are not the scores stored")
    return faults


def drifted_marks(page: BeautifulSoup, stored: list[tuple[str, dict]]) -> list[str]:
    """Marks of the picture of the whole book that stand for no stored row, or are missing."""
    svg = page.select_one(".igr-whole svg")
    if not svg or len(svg.get("aria-label", "")) < 40:
        return ["no picture of the whole book, or none that speaks"]
    told = [title.get_text() for title in svg.select("title")]
    shown = {text.rsplit(", ", 1)[0] for text in told if ": " in text}
    tasks: dict[tuple, list[dict]] = {}
    for _, row in stored:
        if row["family"] != "reference":
            key = row["task"], row["metric"], row["protocol"]
            tasks.setdefault(key, []).append(row)
    compared = [rows for rows in tasks.values() if len({row["score"] for row in rows}) > 1]
    wanted = {f"{row['task']}: {row['method']}" for rows in compared for row in rows}
    faults = [f"no mark for {name}" for name in wanted
              if not any(text.startswith(f"{name}, ") for text in shown)]  # fmt: skip
    strays = [t for t in shown if not any(t.startswith(f"{name}, ") for name in wanted)]
    return faults + [f"a mark for {text}" for text in strays]


def drifted_cards(page: BeautifulSoup, notebooks: list[Path]) -> list[str]:
    """Cards of the gallery that are missing, out of order or incomplete."""
    cards = page.select(".igr-card")
    faults = []
    for card in cards:
        image, title = card.select_one("img"), card.select_one(".igr-title a")
        question = card.select_one(".igr-question")
        if not image or image.get("loading") != "lazy" or not title:
            faults.append(f"card without lazily loaded picture or title: {card.get_text()!r}")
        elif not question or not question.get_text(strip=True).endswith("?"):
            faults.append(f"card without question: {title.get_text()}")
    linked = [card.select_one("a")["href"].split("/")[-1] for card in cards]
    if linked != [f"{path.stem}.html" for path in notebooks]:
        faults.append(f"cards lead to {linked}")
    return faults


def dead_controls(pages: Pages) -> list[str]:
    """Controls that wait for a kernel, where none will ever answer."""
    return [
        f"{path.name}: a control without a kernel ({mark})"
        for path, page in pages.items()
        for mark in ("application/vnd.jupyter.widget", "jupyter-widgets")
        if mark in str(page)
    ]


def stray_buttons(pages: Pages, url: str) -> list[str]:
    """Buttons that lead nowhere, or that are missing where the book has an address."""
    faults = []
    for path, page in pages.items():
        found = [a["href"] for a in page.select(".article-header-buttons a[href^='http']")]
        if not url and (found or page.select("a[href*='colab.research']")):
            faults.append(f"{path.name}: buttons without an address: {found}")
        elif url and path.parent.name == "notebooks":
            colab = url.replace("https://github.com", "https://colab.research.google.com/github")
            if f"{colab}/blob/main/notebooks/{path.stem}.ipynb" not in found:
                faults.append(f"{path.name}: no Colab button to {url}, only {found}")
        elif any(url not in href for href in found):
            faults.append(f"{path.name}: a button leads elsewhere: {found}")
    return faults


# ---- the site passes the checks ------------------------------------------------------------


def test_every_link_and_anchor_resolves(pages: Pages) -> None:
    assert len(pages) >= 6
    assert not broken_links(pages)


def test_every_picture_speaks(pages: Pages) -> None:
    assert not silent_pictures(pages)


def test_no_page_asks_another_host(pages: Pages, site: Path) -> None:
    assert not other_hosts(pages)
    for file in (site / "_static").rglob("*"):
        pattern = {".css": CSS_ELSEWHERE, ".js": JS_ELSEWHERE}.get(file.suffix)
        match = pattern and pattern.search(file.read_text(encoding="utf-8"))
        assert not match, f"{file.name}: {match and match[0]}"


def test_mathematics_is_drawn_in_the_page(pages: Pages, site: Path) -> None:
    formulas = [formula for page in pages.values() for formula in page.select(".math")]
    assert len(formulas) > 1000
    assert not [f for f in formulas if not f.select_one("svg[aria-label]")]
    assert not [path for path, page in pages.items() if page.select("script[src*=athjax]")]
    assert not list(site.rglob("*athjax*"))


def test_every_chapter_figure_has_caption_and_number(pages: Pages) -> None:
    assert len(chapters(pages)) == len(toc_notebooks())
    assert not bare_pictures(chapters(pages))


def test_results_page_shows_what_is_stored(pages: Pages, site: Path) -> None:
    assert not drifted_rows(pages[site / "book/results.html"], stored_rows())


def test_the_whole_book_shows_what_is_stored(pages: Pages, site: Path) -> None:
    assert not drifted_marks(pages[site / "book/whole_book.html"], stored_rows())


def test_gallery_shows_every_notebook(pages: Pages, site: Path) -> None:
    assert not drifted_cards(pages[site / "book/intro.html"], toc_notebooks())


def test_no_page_waits_for_a_kernel(pages: Pages) -> None:
    assert not dead_controls(pages)


def test_buttons_follow_the_address(pages: Pages) -> None:
    assert not stray_buttons(pages, stamp.present())


def test_one_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert stamp.main(["--check"]) == 0, capsys.readouterr().out


# ---- the stamp -----------------------------------------------------------------------------


def without_address(folder: Path) -> Path:
    """The files that hold the address, or are needed to write it, with none in them."""
    for path in [*stamp.places("", ROOT), ROOT / "_toc.yml", ROOT / "Makefile", stamp.__file__]:
        copy = folder / Path(path).relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    stamp.stamp("", folder)
    return folder


def test_stamp_is_idempotent_reversible_and_touches_one_line(tmp_path: Path) -> None:
    files = list(stamp.places("", without_address(tmp_path)))
    before = {path: path.read_text(encoding="utf-8") for path in files}

    url = "https://github.com/some-owner/some.name"
    assert len(stamp.stamp(url, tmp_path)) == len(files)
    for path in files:
        old, new = before[path].splitlines(), path.read_text(encoding="utf-8").splitlines()
        changed = [b for a, b in zip(old, new, strict=True) if a != b]
        assert len(changed) == 1, f"{path.name}: {changed}"
        assert "some-owner/some.name" in changed[0]
    assert yaml.safe_load((tmp_path / "_config.yml").read_text())["repository"]["url"] == url
    assert stamp.stamp(url, tmp_path) == []
    assert len(stamp.stamp("https://github.com/a/b", tmp_path)) == len(files)
    stamp.stamp("", tmp_path)
    assert {path: path.read_text(encoding="utf-8") for path in files} == before


@pytest.mark.parametrize("wrong", ["http://github.com/a/b", "https://github.com/a", "a/b"])
def test_stamp_refuses_what_is_no_address(wrong: str) -> None:
    assert stamp.main([wrong]) == 2


# ---- the workflows -------------------------------------------------------------------------


def test_workflows_are_pinned_and_run_what_ci_runs() -> None:
    folder = ROOT / ".github" / "workflows"
    text = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.yml")}
    used = re.findall(r"uses: (.+)", "".join(text.values()))
    assert len(used) >= 6
    assert not [use for use in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", use)]
    ci = re.findall(r"^make (.+)$", (ROOT / ".ci/run").read_text(encoding="utf-8"), re.MULTILINE)
    assert re.findall(r"run: make (\w+)", text["test.yml"]) == " ".join(ci).split()
    assert re.findall(r"run: make (\w+)", text["publish.yml"]) == ["stamp", "stamp", "book"]
    weekly = re.findall(r"run: make (\w+)", text["weekly.yml"])
    assert weekly == [*" ".join(ci).split(), "links", "audit"]


def git(folder: Path, *command: str) -> str:
    """What git prints."""
    who = ["-c", "user.name=book", "-c", "user.email=book@localhost"]
    run = subprocess.run(
        ["git", *who, *command], cwd=folder, check=True, capture_output=True, text=True
    )
    return run.stdout.strip()


@pytest.fixture
def github(tmp_path: Path) -> Path:
    """A repository without an address, `origin`, and beside it what its workflow checks out."""
    origin = tmp_path / "origin"
    git(tmp_path, "init", "--quiet", "--initial-branch", "main", str(origin))
    git(without_address(origin), "add", "--all")
    git(origin, "commit", "--quiet", "--message", "A book")
    git(origin, "config", "receive.denyCurrentBranch", "ignore")
    git(tmp_path, "clone", "--quiet", "--depth", "1", origin.as_uri(), "runner")
    git(tmp_path / "runner", "checkout", "--quiet", "--detach")
    return tmp_path


def publish_workflow() -> dict:
    return yaml.safe_load((ROOT / ".github/workflows/publish.yml").read_text(encoding="utf-8"))


def publish_stamp(github: Path) -> str:
    """Runs the steps of the job `stamp` as GitHub does; what they print."""
    steps = publish_workflow()["jobs"]["stamp"]["steps"]
    run = subprocess.run(
        ["bash", "-e"],
        input="\n".join(step["run"] for step in steps if "run" in step),
        cwd=github / "runner",
        env={**os.environ, "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "a/b"},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout


def test_publishing_commits_the_address(github: Path) -> None:
    publish_stamp(github)
    log = git(github / "origin", "log", "--format=%an: %s", "main").splitlines()
    assert log == ["github-actions[bot]: Stamp the address of this repository", "book: A book"]
    changed = git(github / "origin", "show", "--format=", "--name-only", "main").splitlines()
    assert len(changed) == len(stamp.places("", ROOT))
    assert 'url: "https://github.com/a/b"' in git(github / "origin", "show", "main:_config.yml")
    assert "nothing to change" in publish_stamp(github)
    assert git(github / "origin", "rev-list", "--count", "main") == "2"


def test_where_main_has_moved_on_publishing_says_so(github: Path) -> None:
    git(github / "origin", "commit", "--quiet", "--allow-empty", "--message", "Another")
    (said,) = re.findall("(?m)^::warning::.*", publish_stamp(github))
    assert "it moved on, or is protected" in said
    assert git(github / "origin", "log", "-1", "--format=%s", "main") == "Another"


def test_only_what_was_tested_on_main_may_write() -> None:
    workflow = publish_workflow()
    jobs = workflow["jobs"]
    assert workflow["permissions"] == {"contents": "read"}
    assert [name for name in jobs if "contents" in jobs[name].get("permissions", {})] == ["stamp"]
    for job in (jobs["stamp"], jobs["build"]):
        assert "event != 'pull_request'" in job["if"]
        assert "conclusion == 'success'" in job["if"]
        assert job["steps"][0]["with"]["ref"] == "${{ github.event.workflow_run.head_sha }}"


def test_the_weekly_run_lifts_every_upper_bound_but_two() -> None:
    weekly = (ROOT / ".github/workflows/weekly.yml").read_text(encoding="utf-8")
    (script,) = re.findall(r"run: (sed .+)", weekly)
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    command = script.replace("-i ", "").replace(" requirements.txt", "")
    lifted = subprocess.run(
        ["bash", "-c", command], input=text, capture_output=True, text=True, check=True
    ).stdout
    assert re.findall(r"(?m)^([\w-]+).*<", lifted) == ["jupyter-book", "django-static-mathjax"]
    assert "torch>=2.4\n" in lifted


# ---- planted faults: each check sees what it is for ----------------------------------------

PAGE = """
<html><head><link href="style.css" rel="stylesheet"><script src="code.js"></script></head><body>
<a href="#here">down</a> <a href="https://example.org/">out</a>
<article><h1 id="here">Here</h1>
<figure><img src="a.png" alt="A line"><figcaption><span class="caption-number">Figure 1</span>
<span class="caption-text">A straight line</span></figcaption></figure></article>
<div class="igr-card"><a href="notebooks/one.html"><img loading="lazy" src="a.png" alt="x"></a>
<p class="igr-title"><a href="notebooks/one.html">One</a></p><p class="igr-question">Why?</p></div>
<table class="igr-results"><tbody><tr><td><a href="notebooks/one.html#here">M</a></td><td>1,234</td>
</tr></tbody></table><figure class="igr-whole"><svg aria-label="Two methods, quality against the
seconds that each of them took."><rect><title>T: M, 1,234 dB (m, higher is better) in 2 s</title>
</rect><rect><title>T: N, 1 dB (m, higher is better), not timed</title></rect></svg></figure>
</body></html>
"""
ROW = [("one.html", {"method": "M", "anchor": "here", "score": 1234.4})]
MARKS = [
    ("", {"task": "T", "method": method, "score": score, "family": "deep", "metric": "m",
          "protocol": "p"})
    for method, score in (("M", 1234.0), ("N", 1.0))
]  # fmt: skip
CHECKS: dict[str, Callable[[Pages], list[str]]] = {
    "broken_links": broken_links,
    "silent_pictures": silent_pictures,
    "other_hosts": other_hosts,
    "bare_pictures": bare_pictures,
    "drifted_rows": lambda pages: drifted_rows(next(iter(pages.values())), ROW),
    "drifted_marks": lambda pages: drifted_marks(next(iter(pages.values())), MARKS),
    "drifted_cards": lambda pages: drifted_cards(next(iter(pages.values())), [Path("one.ipynb")]),
    "dead_controls": dead_controls,
    "stray_buttons": lambda pages: stray_buttons(pages, ""),
}
FAULTS = [
    ("broken_links", 'href="#here"', 'href="#gone"'),
    ("broken_links", 'href="#here"', 'href="gone.html"'),
    ("broken_links", 'src="code.js"', 'src="gone.js"'),
    ("broken_links", "one.html#here", "one.html#gone"),
    ("silent_pictures", 'alt="A line"', 'alt=" "'),
    ("silent_pictures", 'alt="A line"', ""),
    ("other_hosts", 'src="code.js"', 'src="https://cdn.example.org/code.js"'),
    ("other_hosts", 'href="style.css"', 'href="//fonts.example.org/style.css"'),
    ("other_hosts", 'src="a.png" alt="A line"', 'alt="A line" srcset="https://example.org/a 2x"'),
    ("other_hosts", "<h1 ", '<h1 style="background: url(https://example.org/a.png)" '),
    ("other_hosts", "</body>", '<script>fetch("https://example.org/")</script></body>'),
    ("other_hosts", "</body>", "<style>@import 'https://example.org/a.css'</style></body>"),
    ("bare_pictures", "<article>", '<article><img src="a.png" alt="No figure">'),
    ("bare_pictures", "Figure 1", ""),
    ("bare_pictures", "A straight line", ""),
    ("drifted_rows", "1,234", "1,334"),
    ("drifted_rows", ">M<", ">N<"),
    ("drifted_rows", "<tr>", "<tr><td>Typed by hand</td><td>1</td></tr><tr>"),
    ("drifted_marks", "T: M,", "T: K,"),
    ("drifted_marks", "<rect><title>T: N", "<rect><desc>T: N"),
    ("drifted_marks", "</rect></svg>", "</rect><rect><title>T: O, 3 dB, x</title></rect></svg>"),
    ("drifted_marks", 'aria-label="Two methods', 'data-was="Two methods'),
    ("drifted_cards", '<div class="igr-card">', "<div>"),
    ("drifted_cards", "Why?", "Why."),
    ("drifted_cards", 'loading="lazy"', ""),
    ("dead_controls", "</body>", '<script type="application/vnd.jupyter.widget-view+json">'),
    ("dead_controls", "<article>", '<article class="jupyter-widgets">'),
    ("stray_buttons", "</body>", '<a href="https://colab.research.google.com/x">Run</a></body>'),
]


def small_site(folder: Path, html: str) -> Pages:
    """A site of two pages, with the files that they name."""
    (folder / "notebooks").mkdir(parents=True)
    for name in ("style.css", "code.js", "a.png"):
        (folder / name).touch()
    (folder / "notebooks/one.html").write_text('<h1 id="here">One</h1>', encoding="utf-8")
    (folder / "index.html").write_text(html, encoding="utf-8")
    return read(folder.resolve())


@pytest.mark.parametrize("check", CHECKS)
def test_checks_pass_a_faultless_page(check: str, tmp_path: Path) -> None:
    assert CHECKS[check](small_site(tmp_path, PAGE)) == []


@pytest.mark.parametrize(("check", "sound", "fault"), FAULTS)
def test_checks_see_a_planted_fault(check: str, sound: str, fault: str, tmp_path: Path) -> None:
    assert sound in PAGE
    assert CHECKS[check](small_site(tmp_path, PAGE.replace(sound, fault, 1)))
