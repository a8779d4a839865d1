"""Asks whether the pages that the built site links to are still there.

    python tools/links.py [SITE]      SITE is _build/html if left out

Politely: one page at a time, a pause between two of the same host, and headers only where that
suffices. A page that is gone (404, 410, or a host that does not exist) is a fault. A host that
refuses such questions, or does not answer now, is only mentioned. Of doi.org, its own answer
counts, not that of the publisher behind it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from socket import EAI_NONAME, gaierror
from urllib.error import HTTPError, URLError
from urllib.parse import urldefrag, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from bs4 import BeautifulSoup
from nbsource import ROOT

GONE = (404, 410)
HEADERS = {"User-Agent": "link check of a tutorial book (once a week)"}


def is_doi(address: str) -> bool:
    """Whether the address is one of doi.org."""
    return urlsplit(address).netloc == "doi.org"


class Redirects(HTTPRedirectHandler):
    """Follows redirects, but not those of doi.org."""

    def redirect_request(self, request: Request, *answer: object) -> Request | None:
        """The next request; None lets the redirect itself be the answer."""
        if is_doi(request.full_url):
            return None
        return super().redirect_request(request, *answer)


def outgoing(site: Path) -> dict[str, set[str]]:
    """Every address outside the site that a page links to, with the pages that do."""
    found: dict[str, set[str]] = {}
    for path in sorted(site.rglob("*.html")):
        page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for link in page.select("a[href^='http:'], a[href^='https:']"):
            found.setdefault(urldefrag(link["href"]).url, set()).add(path.name)
    return found


def answer(address: str, timeout: float = 30) -> str:
    """`""` where the page is there, `"gone: ..."` where it is not, else why one cannot tell."""
    said = ""
    for method in ("HEAD", "GET"):  # some hosts answer only the second
        try:
            with build_opener(Redirects).open(
                Request(address, method=method, headers=HEADERS), timeout=timeout
            ):
                return ""
        except HTTPError as error:
            if 300 <= error.code < 400 and is_doi(error.url):
                return ""
            said = f"{'gone: ' if error.code in GONE else ''}{error.code} {error.reason}"
        except URLError as error:
            gone = isinstance(error.reason, gaierror) and error.reason.errno == EAI_NONAME
            return f"{'gone: ' if gone else ''}{error.reason}"
        except (OSError, HTTPException, ValueError) as error:
            return f"{type(error).__name__}: {error}"
    return said


def ask(addresses: list[str], pause: float = 1.0) -> Iterator[tuple[str, str]]:
    """Each address with its answer; between two of one host lie `pause` seconds."""
    asked: dict[str, float] = {}
    for address in addresses:
        host = urlsplit(address).netloc
        time.sleep(max(0.0, asked.get(host, -pause) + pause - time.monotonic()))
        yield address, answer(address)
        asked[host] = time.monotonic()


def main(arguments: list[str]) -> int:
    """Run from the command line; return the exit status."""
    site = Path(arguments[0]) if arguments else ROOT / "_build" / "html"
    pages = outgoing(site)
    if not pages:
        print(f"no page in {site} links anywhere: build the site first (`make book`)")
        return 2
    gone = 0
    for address, said in ask(list(pages)):
        if said:
            print(f"{address} ({', '.join(sorted(pages[address]))}): {said}", flush=True)
        gone += said.startswith("gone")
    print(f"{len(pages)} links, {gone} gone")
    return int(gone > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
