"""The HTTP tool: every exchange ends, is as long as it may be, and goes where its name said."""

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trustme

from app.util.http import HttpAnswer, HttpClient, HttpError, is_public
from tests import servers
from tests.http_server import Handler, HttpServer, serving


class Page(HttpServer):
    """Answers as it is told, and notes how it was asked."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.asked: list[tuple[str, str, str]] = []
        self.status, self.body = 200, b"yes"
        self.said: dict[str, str] = {}
        self.does = "answers"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/page?key=himitsu"


class _Handler(Handler):
    server: Page

    def answer(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size).decode()
        self.server.asked.append((f"{self.command} {self.path}", self.headers["Host"], body))
        if self.server.does == "hangs":
            self.server.released.wait(60)
        while self.server.does == "drips" and not self.server.released.wait(0.02):
            self.wfile.write(b"H")
        self.send_response(self.server.status)
        for name, value in self.server.said.items():
            self.send_header(name, value)
        self.end_headers()
        while self.server.does == "drips on" and not self.server.released.wait(0.02):
            self.wfile.write(b"x")
        self.wfile.write(self.server.body)


@pytest.fixture
def page() -> Iterator[Page]:
    with serving(Page()) as server:
        yield server


def ask(url: str, client: HttpClient | None = None, within: float = 5.0) -> HttpAnswer:
    return (client or HttpClient()).request("GET", url, within=within)


def refused(url: str, client: HttpClient | None = None, within: float = 5.0) -> HttpError:
    with pytest.raises(HttpError) as caught:
        ask(url, client, within)
    assert "himitsu" not in f"{caught.value} {caught.value!r} {caught.value.kind}"
    return caught.value


# --- an exchange ------------------------------------------------------------------------------


def test_a_question_has_one_answer(page: Page) -> None:
    page.said = {"X-One": "1"}
    client = HttpClient()
    answer = client.request("POST", page.url, within=5, body=b"a=b", headers={"X-Two": "2"})
    assert (answer.status, answer.body, answer.headers["x-one"]) == (200, b"yes", "1")
    host = f"127.0.0.1:{page.server_port}"
    assert page.asked == [("POST /page?key=himitsu", host, "a=b")]


def test_no_redirect_is_followed_and_no_failure_is_tried_again(page: Page) -> None:
    for page.status in (302, 503):
        page.said = {"Location": "/elsewhere", "Retry-After": "0"}
        assert ask(page.url).status == page.status
    assert len(page.asked) == 2


@pytest.mark.parametrize("does", ["hangs", "drips", "drips on"])
def test_a_server_that_hangs_or_drips_is_left_in_time(page: Page, does: str) -> None:
    page.does = does
    began = time.monotonic()
    assert refused(page.url, within=0.5).kind == "TimeoutError"
    assert time.monotonic() - began < 1.5
    servers.wait_until(lambda: not _still_asking(), "the end of its thread", 2)


def _still_asking() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("http ")]


def test_a_server_that_takes_no_handshake_is_left_in_time() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as deaf:
        port = deaf.getsockname()[1]
        assert refused(f"https://127.0.0.1:{port}/", within=0.5).kind == "TimeoutError"


def test_an_answer_that_is_too_long_is_not_read_to_its_end(page: Page) -> None:
    page.body = b"x" * 1_000_000
    assert refused(page.url).why.en == "the answer is too long"
    page.body = b"x" * 65_536
    assert len(ask(page.url).body) == 65_536


def test_a_packed_answer_is_not_unpacked(page: Page) -> None:
    """A megabyte of nothing packs into a kilobyte."""
    page.body, page.said = gzip.compress(b"0" * 1_000_000), {"Content-Encoding": "gzip"}
    assert ask(page.url).body == page.body


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:{free}/himitsu", "connection refused"),
        ("http://nowhere.example/himitsu", "its name is not in the DNS"),
    ],
)
def test_trouble_is_told_in_plain_words_and_without_the_address(url: str, why: str) -> None:
    assert refused(url.format(free=servers.free_port())).why.en == why


@pytest.mark.parametrize(
    "url",
    ["http://[::1", "http:///himitsu", "ftp://127.0.0.1/", "http://127.0.0.1:x/", "//127.0.0.1/"],
)
def test_what_is_no_address_is_asked_nothing(url: str) -> None:
    assert refused(url).why.en == "its address makes no sense"


def test_an_answer_that_is_no_http_is_trouble_too() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:

        def speak() -> None:
            line, _ = other.accept()
            line.sendall(b"220 mail.example ESMTP\r\n")
            line.close()

        threading.Thread(target=speak, daemon=True).start()
        assert (
            "communication failed" in refused(f"http://127.0.0.1:{other.getsockname()[1]}/").why.en
        )


# --- to whom ------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made


def shown_by(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def test_a_certificate_is_checked_by_name_with_our_own_authority(
    authority: trustme.CA, tmp_path: Path
) -> None:
    ours = HttpClient(ca_file=tmp_path / "ca.pem")
    with serving(Page(), shown_by(authority, "localhost")) as page:
        named = f"https://localhost:{page.server_port}/himitsu"
        assert ask(named, ours).status == 200
        assert page.asked[0][1] == f"localhost:{page.server_port}"
        assert "SMTP_CA_FILE" in refused(named).why.ja
        other = refused(f"https://127.0.0.1:{page.server_port}/himitsu", ours)
        assert "127.0.0.1" in other.why.en  # OpenSSL's words
        assert len(page.asked) == 1


def test_a_name_is_looked_up_once_and_only_that_address_is_connected_to(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever answers for the name cannot change the address after it was looked at."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: str, *args: object, **kwargs: object) -> object:
        asked.append(host)
        return real(host, *args, **kwargs)  # type: ignore[arg-type]  # whatever was given

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    ask(page.url.replace("127.0.0.1", "localhost"))
    assert asked.count("localhost") == 1
    assert page.asked[0][1] == f"localhost:{page.server_port}"


def test_where_others_name_the_address_it_must_be_a_public_one(page: Page) -> None:
    error = refused(page.url, HttpClient(public_only=True))
    assert error.why.en == "its address is a private one"
    assert page.asked == []


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),  # noqa: S104 - tried, not bound to
        *(
            "224.0.0.1",
            "192.88.99.1",
            "255.255.255.255",
            "::1",
            "fe80::1%eth0",
            "fc00::1",
            "ff0e::1",
        ),
        *("::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::"),
    ],
)
def test_an_address_of_ours_is_not_public_however_it_is_written(address: str) -> None:
    assert not is_public(address)


# --- a proxy --------------------------------------------------------------------------------------


class Proxy(HttpServer):
    """Takes CONNECT for any name, and leads to one server."""

    def __init__(self, port: int, status: int = 200) -> None:
        super().__init__(_Tunnel)
        self.port, self.status = port, status
        self.asked: list[tuple[str, str | None]] = []


class _Tunnel(Handler):
    server: Proxy

    def do_CONNECT(self) -> None:  # noqa: N802 - as the standard library calls it
        self.server.asked.append((self.path, self.headers["Proxy-Authorization"]))
        self.send_response(self.server.status)
        self.end_headers()
        if self.server.status == 200:
            with socket.create_connection(("127.0.0.1", self.server.port)) as inner:
                back = threading.Thread(target=_pump, args=(inner, self.connection), daemon=True)
                back.start()
                _pump(self.connection, inner)
                back.join(5)


def _pump(one: socket.socket, other: socket.socket) -> None:
    try:
        while data := one.recv(65_536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_a_proxy_is_asked_for_the_name_and_sees_nothing_else(
    authority: trustme.CA, tmp_path: Path
) -> None:
    with (
        serving(Page(), shown_by(authority, "login.example")) as page,
        serving(Proxy(page.server_port)) as proxy,
    ):
        through = HttpClient(tmp_path / "ca.pem", f"http://us:er@127.0.0.1:{proxy.server_port}")
        assert ask("https://login.example/himitsu", through).status == 200
        assert page.asked[0][1] == "login.example"
        assert proxy.asked == [("login.example:443", "Basic dXM6ZXI=")]


def test_a_proxy_that_refuses_is_named(page: Page) -> None:
    with serving(Proxy(page.server_port, 407)) as proxy:
        through = HttpClient(None, f"http://127.0.0.1:{proxy.server_port}")
        assert "the proxy refused (407" in refused("https://login.example/himitsu", through).why.en


@pytest.mark.parametrize("around", ["example", ".example", "a.example, login.example", "*"])
def test_a_host_of_no_proxy_and_this_machine_are_asked_directly(page: Page, around: str) -> None:
    with serving(Proxy(page.server_port)) as proxy:
        through = HttpClient(None, f"http://127.0.0.1:{proxy.server_port}", around)
        assert refused("https://login.example/himitsu", through).kind == "gaierror"
        for here in ("127.0.0.1", "localhost", "progress.localhost"):
            assert refused(f"https://{here}:{servers.free_port()}/himitsu", through)
        assert ask(page.url, through).status == 200
        assert proxy.asked == []
