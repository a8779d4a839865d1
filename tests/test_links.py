"""tools/links.py finds the links that lead nowhere, asked of a server on this machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from socket import EAI_AGAIN, EAI_NONAME, gaierror
from urllib.parse import urlsplit

import links
import pytest

ASKED: list[tuple[str, str, float]] = []
MOVED = {"/moved": "/200", "/lost": "/404", "/circle": "/circle"}


class Host(BaseHTTPRequestHandler):
    """Answers `/404` with 404; refuses HEAD under `/shy`; sends what is in MOVED on."""

    def do_HEAD(self) -> None:
        path = urlsplit(self.path).path  # a proxy is asked for the whole address
        ASKED.append((self.command, path, time.monotonic()))
        shy = 405 if self.command == "HEAD" else 200
        self.send_response(301 if path in MOVED else shy if path == "/shy" else int(path[1:]))
        if path in MOVED:
            self.send_header("Location", MOVED[path])
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


def test_a_circle_of_redirects_is_no_answer(host: str) -> None:
    assert links.answer(f"{host}/circle").startswith("301 ")


@pytest.mark.parametrize(("code", "gone"), [(EAI_NONAME, True), (EAI_AGAIN, False)])
def test_a_host_that_does_not_exist_is_gone(code: int, gone: bool, monkeypatch) -> None:
    """But not one whose name cannot be looked up now."""

    def look_up(*_: object) -> None:
        raise gaierror(code, "no address")

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    assert links.answer("https://book.invalid/").startswith("gone: ") is gone


def test_a_refused_connection_is_not_gone() -> None:
    assert "refused" in links.answer("http://127.0.0.1:1/")


def test_doi_org_answers_for_itself(host: str, monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", host)
    monkeypatch.setenv("no_proxy", "")
    assert links.answer("http://doi.org/lost") == ""
    assert links.answer("http://doi.org/404") == "gone: 404 Not Found"
    assert links.answer("http://example.org/lost") == "gone: 404 Not Found"


def test_two_pages_of_one_host_lie_apart(host: str) -> None:
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
