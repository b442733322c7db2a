"""One TCP connection to an SMTP server, on which no wait is longer than was said.

smtplib is not used: its time-out starts anew with every byte of a dripping server, it turns a
reply line that is too long into a "500", and it hides at which step a connection was lost.

Every `until` is an instant of time.monotonic(); past it, TimeoutError. All other trouble is an
OSError too (ssl.SSLError and socket.gaierror are), or the ValueError of a hopeless host name.
"""

import contextlib
import math
import re
import select
import socket
import ssl
from datetime import UTC, datetime
from time import monotonic

from app.channel import Answer

MAX_REPLY_LINE = 8192
MAX_REPLY = 65536

_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_REPLY_LINE = re.compile(rb"([2-5][0-9][0-9])([ -]?)(.*)", re.DOTALL)


class BadReplyError(OSError):
    """What came is no reply of an SMTP server."""


class Wire:
    """The connection, its bytes not yet read, and nothing about mail."""

    def __init__(self, host: str, port: int, until: float) -> None:
        """Connects. Each address of `host` gets an equal share of the time that is left.

        The resolver keeps its own time (about 30 s at most on a common machine).
        """
        self._socket = _connect(host, port, until)
        self._buffer = b""

    def secure(self, context: ssl.SSLContext, host: str, until: float) -> None:
        """Goes over to TLS; the certificate must be one of `host`, as `context` says."""
        if self._buffer:
            # Said in the clear to be heard after TLS: the connection is being tampered with (CVE-2011-0411).
            raise BadReplyError("text before TLS")
        # The handshake as a whole may take this long, not each byte of it.
        self._socket.settimeout(_left(until))
        self._socket = context.wrap_socket(self._socket, server_hostname=host)
        self._socket.settimeout(0)

    def write(self, data: bytes, until: float) -> None:
        """Sends all of `data`."""
        _left(until)
        sent = self._send(data, until)
        while sent < len(data):
            sent += self._send(memoryview(data)[sent:], until)

    def read_answer(self, until: float) -> Answer:
        """The next reply (RFC 5321 4.2.1). Raises BadReplyError where it is none."""
        texts: list[bytes] = []
        first = b""
        while sum(map(len, texts)) <= MAX_REPLY:
            line = self._read_line(until)
            found = _REPLY_LINE.fullmatch(line)
            if found is None or first not in {b"", found[1]}:
                raise BadReplyError("no SMTP reply")
            first = found[1]
            texts.append(found[3])
            if found[2] != b"-":
                return Answer(int(first), b"\n".join(texts).decode("utf-8", "replace"))
        raise BadReplyError("endless SMTP reply")

    def has_spoken(self) -> bool:
        """Whether the server says something unasked. Raises if it has hung up. Waits for nothing."""
        try:
            received = self._socket.recv(4096)
        except _NOT_YET:
            return bool(self._buffer)
        if not received:
            raise ConnectionResetError("closed by the server")
        self._buffer += received
        return True

    def last_answer(self, until: float) -> Answer | None:
        """What the server said before it hung up, if that can still be read."""
        try:
            return self.read_answer(until)
        except OSError:
            return None

    def own_address(self) -> str:
        """The address of this end, as EHLO may say it (RFC 5321 4.1.3)."""
        address = self._socket.getsockname()[0].partition("%")[0]
        return f"[IPv6:{address}]" if ":" in address else f"[{address}]"

    def certificate_ends(self) -> datetime | None:
        """Until when the other side's certificate is good; None without TLS."""
        if not isinstance(self._socket, ssl.SSLSocket):
            return None
        ends = str((self._socket.getpeercert() or {})["notAfter"])
        return datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), tz=UTC)

    def close(self) -> None:
        """Closes at once. Never raises."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def _read_line(self, until: float) -> bytes:
        while b"\n" not in self._buffer:
            if len(self._buffer) > MAX_REPLY_LINE:
                raise BadReplyError("endless reply line")
            received = self._receive(until)
            if not received:
                raise ConnectionResetError("closed by the server")
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\n")
        if len(line) > MAX_REPLY_LINE:
            raise BadReplyError("endless reply line")
        return line.rstrip(b"\r")

    # The socket never blocks: it is asked first and waited for only where it must be. A time limit
    # of its own would cost two calls of the system more each time, for a mail's six about 40 us.

    def _send(self, data: "bytes | memoryview", until: float) -> int:
        while True:
            try:
                return self._socket.send(data)
            except _NOT_YET as why:
                self._wait(why, select.POLLOUT, until)

    def _receive(self, until: float) -> bytes:
        """What has come, or comes in time. Past `until` only what lies here already counts.

        A caller with several connections reads them in turn: an answer that came in time must not
        be lost because another connection was slow.
        """
        while True:
            try:
                return self._socket.recv(4096)
            except _NOT_YET as why:
                self._wait(why, select.POLLIN, until)

    def _wait(self, why: OSError, wanted: int, until: float) -> None:
        """Until the socket can go on. TLS may have to read before it can write, or write to read."""
        if isinstance(why, ssl.SSLWantReadError):
            wanted = select.POLLIN
        elif isinstance(why, ssl.SSLWantWriteError):
            wanted = select.POLLOUT
        poll = select.poll()
        poll.register(self._socket, wanted)
        # Rounded up: a wait of no millisecond would spin.
        if not poll.poll(math.ceil(_left(until) * 1000)):
            raise TimeoutError("too late")


def _left(until: float) -> float:
    left = until - monotonic()
    if left <= 0:
        raise TimeoutError("too late")
    return left


def _connect(host: str, port: int, until: float) -> socket.socket:
    places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    trouble: OSError | None = None
    for number, (family, kind, protocol, _, address) in enumerate(places):
        connection = socket.socket(family, kind, protocol)
        try:
            # An address that swallows everything must not use up the time of the next one.
            connection.settimeout(_left(until) / (len(places) - number))
            connection.connect(address)
            # The body and the dot are written apart; Nagle's algorithm would hold back the dot.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(0)
        except OSError as error:
            connection.close()
            trouble = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise trouble or OSError("no address")
