"""A small real DNS server on loopback, over UDP, that knows what it is told and nothing else."""

import socket
import threading
from collections.abc import Mapping
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset

Records = Mapping[tuple[str, str], list[str]]  # (name, kind) -> values, as in a zone file


class DnsServer:
    """Use it in a `with`; `resolver` asks nobody else. `silent`: it never answers."""

    def __init__(self, records: Records, *, silent: bool = False) -> None:
        self.records = records
        self.silent = silent
        self._line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._line.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._line.getsockname())
        self._thread.join(5)
        self._line.close()

    @property
    def resolver(self) -> dns.resolver.Resolver:
        """One that asks this server."""
        found = dns.resolver.Resolver(configure=False)
        found.nameservers = ["127.0.0.1"]
        found.port = self._line.getsockname()[1]
        return found

    def _serve(self) -> None:
        while True:
            data, sender = self._line.recvfrom(4096)
            if not data:
                return
            if not self.silent:
                self._line.sendto(self._answer(dns.message.from_wire(data)), sender)

    def _answer(self, query: dns.message.Message) -> bytes:
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = question.rdtype.name
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        values = self.records.get((name, kind))
        if values:
            reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *values))
        elif not any(known == name for known, _ in self.records):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply.to_wire()
