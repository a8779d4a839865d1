"""tools/links.py finds the links that lead nowhere, asked of a server on this machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import links
import pytest

ASKED: list[tuple[str, str, float]] = []


class Host(BaseHTTPRequestHandler):
    """Answers `/404` with 404; refuses HEAD under `/shy`; sends `/moved` on to `/200`."""

    def do_HEAD(self) -> None:
        ASKED.append((self.command, self.path, time.monotonic()))
        shy = self.path == "/shy" and self.command == "HEAD"
        status = {"/shy": 405 if shy else 200, "/moved": 301, "/lost": 301}.get(self.path)
        self.send_response(status or int(self.path[1:]))
        if self.path in ("/moved", "/lost"):
            self.send_header("Location", "/200" if self.path == "/moved" else "/404")
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Host)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/200", ""),
        ("/moved", ""),
        ("/shy", ""),
        ("/404", "gone: 404 Not Found"),
        ("/410", "gone: 410 Gone"),
        ("/lost", "gone: 404 Not Found"),
        ("/403", "403 Forbidden"),
        ("/429", "429 Too Many Requests"),
        ("/503", "503 Service Unavailable"),
    ],
)
def test_what_is_gone_is_told_from_what_does_not_answer(host: str, path: str, said: str) -> None:
    assert links.answer(host + path) == said


def test_a_host_without_an_address_is_gone() -> None:
    assert links.answer("https://book.invalid/").startswith("gone: ")


def test_a_refused_connection_is_not_gone() -> None:
    assert "refused" in links.answer("http://127.0.0.1:1/")


def test_doi_org_answers_for_itself() -> None:
    follow = links.Redirects().redirect_request
    moved = (None, 302, "Found", {}, "https://publisher.example/1")
    assert follow(links.Request("https://doi.org/10.1/1"), *moved) is None
    assert follow(links.Request("https://example.org/1"), *moved) is not None


def test_two_questions_to_one_host_lie_apart(host: str) -> None:
    ASKED.clear()
    assert [said for _, said in links.ask([f"{host}/200"] * 3, pause=0.3)] == ["", "", ""]
    times = [when for *_, when in ASKED]
    assert all(after - before >= 0.3 for before, after in pairwise(times))


def site(folder: Path, *addresses: str) -> str:
    """A site of one page with these links."""
    text = "".join(f'<a href="{address}">there</a>' for address in addresses)
    (folder / "a.html").write_text(text + '<a href="b.html">here</a>', encoding="utf-8")
    return str(folder)


def test_every_outgoing_link_is_asked_once(host: str, tmp_path: Path, capsys) -> None:
    folder = site(tmp_path, f"{host}/200", f"{host}/200#part", f"{host}/403")
    ASKED.clear()
    assert links.main([folder]) == 0
    assert [(method, path) for method, path, _ in ASKED] == [
        ("HEAD", "/200"), ("HEAD", "/403"), ("GET", "/403"),
    ]  # fmt: skip
    assert capsys.readouterr().out.endswith("(a.html): 403 Forbidden\n2 links, 0 gone\n")


def test_a_planted_fault_fails_the_check(host: str, tmp_path: Path, capsys) -> None:
    assert links.main([site(tmp_path, f"{host}/404")]) == 1
    assert f"{host}/404 (a.html): gone: 404 Not Found" in capsys.readouterr().out


def test_an_empty_site_fails_the_check(tmp_path: Path) -> None:
    assert links.main([site(tmp_path)]) == 2
