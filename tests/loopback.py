"""No way out of this machine: what a test does stays on loopback."""

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

attempts: list[str] = []  # to leave it, in the test that runs


def _is_loopback(host: object) -> bool:
    return host in {None, "", "localhost"} or (_is_number(host) and _address(host).is_loopback)


def _is_number(host: object) -> bool:
    try:
        return bool(_address(host))
    except ValueError:
        return False


def _address(host: object) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(str(host))


def close_other_sockets() -> None:
    """Connections leave this machine from no test; names other than localhost do not exist."""

    def guard(method: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(self: socket.socket, *args: Any) -> Any:
            inet = self.family in {socket.AF_INET, socket.AF_INET6}
            if inet and not _is_loopback(args[-1][0]):
                attempts.append(str(args[-1]))
                raise RuntimeError(f"a test wanted to reach {args[-1]}")
            return method(self, *args)

        return guarded

    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, guard(getattr(socket.socket, name)))
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if not (_is_loopback(name) or _is_number(name)):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **kwargs)

    socket.getaddrinfo = getaddrinfo
