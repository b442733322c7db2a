"""The scripted mail server as a process of its own, with its ledger on disk.

As a program: `python -m tests.mail_server PORT LEDGER PLAN`; PLAN is JSON: fields of Plan, and
`certificate`, a PEM file of key and chain.
"""

import contextlib
import json
import os
import ssl
import sys
import threading
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from tests.fork_server import Part, launch
from tests.servers import free_port, wait_until
from tests.smtp_plan import Accepted, Ledger, Plan
from tests.smtp_server import SmtpServer
from tests.stack import PROJECT


class MailServer:
    """Starts and stops the process; reads its ledger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "ledger"
        self.port = free_port()
        self.process: Part | None = None
        self.usual: dict[str, Any] = {}  # what holds of every plan that does not say otherwise

    def start(self, **plan: Any) -> None:
        """Serves by this plan (fields of Plan); returns when it listens. Keeps the ledger.

        In a script "always" at the end repeats the action before it for ever.
        """
        self.stop()
        said = self.folder / "mail_server.said"
        said.unlink(missing_ok=True)
        told = json.dumps({**self.usual, **plan})
        command = [sys.executable, "-m", __name__, str(self.port), str(self.file), told]
        self.process = launch(command, said, cwd=PROJECT, env=os.environ)
        wait_until(lambda: b"listening" in said.read_bytes(), f"mail server, see {said}")

    def stop(self) -> None:
        """Ends it as by kill -9: the ledger is on disk."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def mails(self) -> list[Accepted]:
        """All mails it ever took, in order."""
        return Ledger.read(self.file) if self.file.exists() else []

    def count(self) -> int:
        """How many mails it took."""
        return self.file.read_bytes().count(b"\n") if self.file.exists() else 0

    def take_out(self, number: int) -> str:
        """For the self-test: forgets one mail; returns whose it was."""
        lines = self.file.read_bytes().splitlines(keepends=True)
        gone = self.mails()[number].recipient
        self.file.write_bytes(b"".join(lines[:number] + lines[number + 1 :]))
        return gone


def _script(actions: list[str]) -> Any:
    if actions[-1:] == ["always"]:
        return chain(actions[:-2], repeat(actions[-2]))
    return actions


def main(arguments: list[str]) -> None:
    """Serves until it is killed."""
    port, ledger, text = arguments
    given = json.loads(text)
    certificate = given.pop("certificate", None)
    given["script"] = {stage: _script(what) for stage, what in given.get("script", {}).items()}
    if "login" in given:
        given["login"] = tuple(given["login"])
    plan = Plan(**given)
    if certificate:
        plan.ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        plan.ssl_context.load_cert_chain(certificate)
    with SmtpServer(plan, port=int(port), ledger=Path(ledger)):
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1:])
