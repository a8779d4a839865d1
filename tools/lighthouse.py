"""Print Lighthouse's scores, the bytes loaded and what costs points: `make lighthouse`.

Three pages are served compressed, as GitHub serves them. Lighthouse looks through the chromium that
is installed; a page's line is the median of three looks, because a busy machine slows some of them.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from browser import Quiet, chromium, serve
from nbsource import ROOT

PAGES = ("book/intro.html", "notebooks/03_gan.html", "book/playground.html")
KINDS = ("performance", "accessibility", "best-practices", "seo")
LOOKS = 3
TEXTS = (".html", ".css", ".js", ".mjs", ".svg", ".json")


class Compressed(Quiet):
    """Serve texts with gzip over connections that stay open."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with the compressed text, or as a plain server would."""
        path = Path(self.translate_path(self.path))
        if path.suffix not in TEXTS or not path.is_file():
            super().do_GET()
            return
        body = gzip.compress(path.read_bytes())
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def look(address: str, desktop: bool) -> dict[str, Any]:
    """Let Lighthouse load a page once; return what it reports."""
    program = ROOT / "tools" / "lighthouse" / "node_modules" / "lighthouse" / "cli" / "index.js"
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [shutil.which("node", path=places) or "node", str(program), address]
    command += ["--output=json", "--quiet", "--chrome-flags=--headless=new --no-sandbox"]
    command += [f"--only-categories={','.join(KINDS)}", *(["--preset=desktop"] * desktop)]
    environment = {**os.environ, "CHROME_PATH": chromium() or ""}
    run = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
    if run.returncode:
        raise RuntimeError(run.stderr)
    return json.loads(run.stdout)


def main() -> None:
    """Serve the site, look at each page as a desktop and as a telephone, and print the table."""
    print(f"{'page':<24} {'device':<8} {'  '.join(KINDS)}  KB")
    with serve(ROOT / "_build" / "html", Compressed) as address:
        for page in PAGES:
            for device in ("desktop", "mobile"):
                looks = [look(f"{address}/{page}", device == "desktop") for _ in range(LOOKS)]
                scores = [median(100 * l["categories"][k]["score"] for l in looks) for k in KINDS]
                load = looks[0]["audits"]["total-byte-weight"]["numericValue"] / 1000
                cells = "  ".join(f"{s:{len(k)}.0f}" for s, k in zip(scores, KINDS, strict=True))
                print(f"{page:<24} {device:<8} {cells}  {load:.0f}", flush=True)
                for name, audit in looks[0]["audits"].items():
                    if audit["score"] is not None and audit["score"] < 0.9:
                        print(f"    {name} {audit['score']} {audit.get('displayValue', '')}")


if __name__ == "__main__":
    main()
