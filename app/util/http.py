"""HTTP as a client, with bounds: what leaves by HTTP leaves here (decision 0028).

One question is one connection: no retry, no redirect, no cookie, nothing kept. All of it, names, TLS
and a server that drips included, ends within the seconds given, and the answer within the bytes
given. A name is looked up once; what is connected to is an address that was looked at, with the
name in SNI, certificate and Host. No error shows more of an address than its host.
"""

import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple, TypeVar
from urllib.parse import SplitResult, urlsplit

from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError as Urllib3Error
from urllib3.util import make_headers

from app.channel import printable
from app.locale import Both
from app.util.tls import client_context, is_unknown_authority
from app.util.urls import is_loopback

AT_MOST = 65_536  # bytes of an answer
PIECE = 16_384  # bytes read at once
_SAID = {"User-Agent": "task-progress", "Connection": "close"}

T = TypeVar("T")


class HttpError(OSError):
    """No answer came. `kind`: the name of what went wrong, for a log; `why`: for people."""

    def __init__(self, kind: str, why: Both) -> None:
        super().__init__(str(why))
        self.kind = kind
        self.why = why


class TooLongError(Exception):
    """The answer has more bytes than the caller takes."""


class NotPublicError(Exception):
    """The name leads to an address that is not of the open internet."""


class HttpAnswer(NamedTuple):
    """What came back. The names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The JSON object that came; {} where it is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class HttpClient:
    """How this installation goes out.

    ca_file: authorities besides those of this machine. proxy: `http://[user:password@]host:port`, for
    https addresses; no_proxy: hosts that need none, separated by commas (a suffix names a domain);
    this machine never does. public_only: for addresses that others name; private ones are refused
    (behind a proxy that is the proxy's to do).
    """

    ca_file: Path | None = None
    proxy: str | None = None
    no_proxy: str = ""
    public_only: bool = False

    def request(
        self,
        method: str,
        url: str,
        *,
        within: float,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        at_most: int = AT_MOST,
    ) -> HttpAnswer:
        """Asks once; a redirect is an answer like any other. Raises HttpError."""

        def ask(connection: HTTPConnection, place: SplitResult) -> HttpAnswer:
            target = (place.path or "/") + (f"?{place.query}" if place.query else "")
            host = place.netloc.rpartition("@")[2]  # without user and password
            said = {"Host": host, **_SAID, **(headers or {})}
            connection.request(
                method, target, body, said, preload_content=False, decode_content=False
            )
            with closing(connection.getresponse()) as answer:
                return _read(answer, at_most)

        return self._within(url, within, ask)

    def reach(self, url: str, within: float) -> None:
        """Connects, over TLS where the address says so, and asks nothing. Raises HttpError."""
        self._within(url, within, lambda _connection, _place: None)

    def _within(
        self, url: str, seconds: float, work: Callable[[HTTPConnection, SplitResult], T]
    ) -> T:
        """In a thread of its own: neither a resolver nor a byte now and then outlasts `seconds`."""
        place, ends = _place(url), monotonic() + seconds
        opened: list[HTTPConnection] = []
        sockets: list[socket.socket] = []  # once the answer is read, its connection lets go of it
        outcome: Future[T] = Future()

        def run() -> None:
            try:
                self._connect(place, ends, opened)
                sockets.append(opened[-1].sock)
                outcome.set_result(work(opened[-1], place))
            except Exception as error:  # noqa: BLE001 - handed over, to be told below
                outcome.set_exception(error)
            finally:
                for connection in opened:
                    connection.close()

        threading.Thread(target=run, name=f"http {place.hostname}", daemon=True).start()
        try:
            return outcome.result(seconds)
        except Exception as error:
            for one in (*sockets, *(connection.sock for connection in opened)):
                _cut(one)
            raise _as_http_error(error) from error

    def _connect(self, place: SplitResult, ends: float, opened: list[HTTPConnection]) -> None:
        """To the first address that answers; each gets an equal share of the time."""
        proxy = self._proxy_for(place)
        nearest = proxy or place
        port = nearest.port or {"https": 443}.get(nearest.scheme, 80)
        found = socket.getaddrinfo(nearest.hostname, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
        if self.public_only and proxy is None and not all(map(is_public, addresses)):
            raise NotPublicError
        for number, address in enumerate(addresses, 1):
            share = _left(ends) / (len(addresses) + 1 - number)
            connection = self._connection(place, proxy, (address, port))
            opened.append(connection)
            connection.timeout = share
            try:
                connection.connect()
            except (OSError, Urllib3Error):
                if number == len(addresses):
                    raise
            else:
                connection.sock.settimeout(_left(ends))
                return

    def _connection(
        self, place: SplitResult, proxy: SplitResult | None, to: tuple[str, int]
    ) -> HTTPConnection:
        if place.scheme != "https":
            return HTTPConnection(*to)
        context = client_context(self.ca_file)
        connection = HTTPSConnection(*to, ssl_context=context, server_hostname=place.hostname)
        if proxy is not None:
            user = f"{proxy.username}:{proxy.password or ''}" if proxy.username else None
            headers = make_headers(proxy_basic_auth=user) if user else {}
            connection.set_tunnel(place.hostname or "", place.port or 443, headers)
        return connection

    def _proxy_for(self, place: SplitResult) -> SplitResult | None:
        host = place.hostname or ""
        if self.proxy is None or place.scheme != "https" or is_loopback(host):
            return None
        around = [one.strip().lstrip("*.") for one in self.no_proxy.split(",") if one.strip()]
        direct = "*" in self.no_proxy.split(",") or any(
            f".{host}".endswith(f".{one}") for one in around
        )
        return None if direct else urlsplit(self.proxy)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet, whatever it holds inside.

    Python's `is_global` takes multicast, NAT64 (RFC 6052), 6to4 (RFC 3056) and its old relay
    (RFC 7526) for global.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    inside: ipaddress.IPv4Address | None = None
    if isinstance(found, ipaddress.IPv6Address):
        inside = found.ipv4_mapped or found.sixtofour
        if found in ipaddress.ip_network("64:ff9b::/96"):
            inside = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inside is not None:
            return is_public(str(inside))
    elif found in ipaddress.ip_network("192.88.99.0/24"):
        return False
    return found.is_global and not found.is_multicast


def _read(answer: HTTPResponse, at_most: int) -> HttpAnswer:
    read = b""
    while piece := answer.read(PIECE, decode_content=False):
        read += piece
        if len(read) > at_most:
            raise TooLongError
    return HttpAnswer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, read)


def _cut(connection: socket.socket | None) -> None:
    """Ends the wait of the thread that reads from it."""
    with suppress(OSError):
        if connection is not None:
            connection.shutdown(socket.SHUT_RDWR)


def _place(url: str) -> SplitResult:
    """The parts of the address. Raises HttpError where it is none of http or https."""
    with suppress(ValueError):
        place = urlsplit(url)
        if place.scheme in {"http", "https"} and place.hostname and place.port != 0:
            return place
    raise HttpError("ValueError", _NO_ADDRESS)


def _left(ends: float) -> float:
    left = ends - monotonic()
    if left <= 0:
        raise TimeoutError
    return left


# --- what went wrong, in plain words ---------------------------------------------------------

_TROUBLE: dict[type[BaseException], Both] = {
    TimeoutError: Both("時間内に応答がありません", "no answer in time"),
    TooLongError: Both("応答が長すぎます", "the answer is too long"),
    NotPublicError: Both("社内のアドレスです", "its address is a private one"),
    socket.gaierror: Both("名前が DNS にありません", "its name is not in the DNS"),
    ConnectionRefusedError: Both("接続を断られました", "connection refused"),
    ssl.SSLError: Both("TLS で通信できません", "TLS failed"),
}
_NO_ADDRESS = Both("アドレスが正しくありません", "its address makes no sense")
_UNKNOWN = Both(
    "証明書の発行元が信頼されていません。社内の認証局なら SMTP_CA_FILE に加えてください",
    "its certificate is from an authority not trusted here; if it is your own, add it to SMTP_CA_FILE",
)


def _as_http_error(error: BaseException) -> HttpError:
    """The error for people: urllib3 wraps what the system said."""
    cause = error.__cause__ if isinstance(error, Urllib3Error) and error.__cause__ else error
    kind = type(cause).__name__
    if is_unknown_authority(cause):
        return HttpError(kind, _UNKNOWN)
    if isinstance(cause, ssl.SSLCertVerificationError):
        said = printable(cause.verify_message)
        why = Both(f"証明書を確認できません({said})", f"its certificate is not good: {said}")
        return HttpError(kind, why)
    for known, why in _TROUBLE.items():
        if isinstance(cause, known):
            return HttpError(kind, why)
    if "Tunnel connection failed" in str(cause):
        said = printable(str(cause).partition(": ")[2])[:60]
        return HttpError(
            kind, Both(f"プロキシに断られました({said})", f"the proxy refused ({said})")
        )
    return HttpError(kind, Both(f"通信できません({kind})", f"communication failed ({kind})"))
