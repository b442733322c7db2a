"""A TCP proxy on loopback that cuts, stalls, delays and looks at what passes."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable

PIECE = 65536


class CutError(Exception):
    """Raised by a hook: this connection is to be cut here."""


class Line:
    """One proxied connection."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.sent = 0  # bytes from the client
        self.heard = 0  # bytes from the server
        self.over = 0  # pumps that have ended
        self.began = time.monotonic()
        self.seen = b""  # for hooks: what they want to remember of this connection

    def cut(self) -> None:
        """Both ends at once. Never raises."""
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


Hook = Callable[[Line, bytes], None]


def _pass(_line: Line, _data: bytes) -> None:
    """Lets everything through."""


class Proxy:
    """Stands before a port.

    `delay`: seconds before each piece from the server is passed on. `from_client` and
    `from_server` are called with each piece before it is passed on; they may raise CutError.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.delay = 0.0
        self.from_client: Hook = _pass
        self.from_server: Hook = _pass
        self.flowing = threading.Event()
        self.flowing.set()
        self.lines: list[Line] = []
        self.lasted: list[float] = []  # seconds that each connection lasted
        self.opened = 0
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._hole: list[socket.socket] = []
        self.port = 0
        self.listen()

    def listen(self) -> None:
        """Takes connections (again), always on the same port."""
        for end in self._hole:
            end.close()
        self._hole = []
        listener = self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def refuse(self) -> None:
        """Cuts everything and refuses connections until `listen`."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.cut()

    def vanish(self) -> None:
        """Cuts everything; who connects hears nothing at all until `listen`.

        The kernel drops the SYNs of a port whose queue of connections is full.
        """
        self.refuse()
        self._hole = [socket.socket()]
        self._hole[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._hole[0].bind(("127.0.0.1", self.port))
        self._hole[0].listen(0)
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", self.port))
            self._hole.append(client)

    def cut(self) -> None:
        """Cuts every connection."""
        for line in list(self.lines):
            line.cut()

    def stall(self) -> None:
        """Takes connections, but lets nothing through until `flow`."""
        self.flowing.clear()

    def flow(self) -> None:
        """Lets everything through again."""
        self.flowing.set()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target), 5)
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line = Line(client, server)
            self.lines.append(line)
            self.opened += 1
            for pump in (self._to_server, self._to_client):
                threading.Thread(target=self._pump, args=(pump, line), daemon=True).start()

    def _pump(self, pump: Callable[[Line], bool], line: Line) -> None:
        with contextlib.suppress(OSError, CutError):
            while pump(line):
                pass
        line.cut()
        with self._lock:
            line.over += 1
            if line.over == 2:
                self.lasted.append(time.monotonic() - line.began)
                line.client.close()
                line.server.close()
                self.lines.remove(line)

    def _to_server(self, line: Line) -> bool:
        data = line.client.recv(PIECE)
        self.flowing.wait()
        if data:
            self.from_client(line, data)
            line.sent += len(data)
            line.server.sendall(data)
        return bool(data)

    def _to_client(self, line: Line) -> bool:
        data = line.server.recv(PIECE)
        self.flowing.wait()
        if data:
            if self.delay:
                time.sleep(self.delay)
            self.from_server(line, data)
            line.heard += len(data)
            line.client.sendall(data)
        return bool(data)
