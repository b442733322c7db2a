"""A mail server that does what it is told: accepts, refuses, hangs, drips, hangs up.

What it does is a table (`smtp_plan.TAGS`), chosen by what follows "+" in the recipient's local part:
`hanako+451x2@example.jp` is refused with 451 twice and then accepted. Several tags may follow
one another (`u+slow+dot451x1@…`). A tag in the sender's local part acts at MAIL
(`app+mail421x1@…`). What happens before a sender or recipient is known comes from `Plan.script`.

Every accepted mail is in the ledger, on disk if a file was named, before the server answers.
tests/mail_server.py starts it as a process of its own.
"""

import base64
import contextlib
import socket
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from tests.smtp_plan import Accepted, Action, Command, Ledger, Plan, Step, counted

__all__ = ["Accepted", "Command", "Ledger", "Plan", "SmtpServer"]

# --- the server ---------------------------------------------------------------------------


class SmtpServer:
    """The server; a thread for each connection. Use it in a `with`, or call start() and stop()."""

    def __init__(self, plan: Plan | None = None, *, port: int = 0, ledger: Path | None = None):
        self.plan = plan or Plan()
        self.ledger = Ledger(ledger)
        self.commands: list[Command] = []
        self.connections = 0
        self._script = {stage: iter(actions) for stage, actions in self.plan.script.items()}
        self._tries: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._open: dict[int, socket.socket] = {}
        self._threads: list[threading.Thread] = []
        self.stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port: int = self._listener.getsockname()[1]

    @property
    def mails(self) -> list[Accepted]:
        """The accepted mails, in order."""
        return self.ledger.mails

    def said(self) -> list[str]:
        """The command lines all clients sent, in order."""
        return [command.line for command in self.commands]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begins to serve."""
        thread = threading.Thread(target=self._accept, daemon=True)
        thread.start()
        self._threads.append(thread)

    def stop(self) -> None:
        """Cuts all connections, waits for the threads."""
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in list(self._threads):
            thread.join(5)

    def cut(self) -> None:
        """Cuts every open connection, as a broken network would; goes on serving."""
        with self._lock:
            for line in self._open.values():
                with contextlib.suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)

    def wait_until_closed(self, seconds: float = 5.0) -> None:
        """Returns when the server has closed every connection."""
        end = time.monotonic() + seconds
        while self._open:
            assert time.monotonic() < end, "still open"
            time.sleep(0.005)

    def next_action(self, stage: str) -> Action:
        """What the script says for this coming of `stage`."""
        with self._lock:
            return next(self._script.get(stage, iter(())), "ok")

    def tagged(self, stage: str, address: str) -> Step | None:
        """What the tags of `address` ask for at `stage` this time."""
        for text in address.rpartition("@")[0].strip('"').split("+")[1:]:
            step, times = counted(text)
            if step is None or step.stage != stage:
                continue
            with self._lock:
                self._tries[address, text] += 1
                tries = self._tries[address, text]
            if times is None or tries <= times:
                return step
        return None

    def opened(self, number: int, line: socket.socket) -> None:
        """Remembers the socket of connection `number`, so that it can be cut."""
        with self._lock:
            self._open[number] = line

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                number = self.connections
            self.opened(number, line)
            thread = threading.Thread(target=self._serve, args=(line, number), daemon=True)
            self._threads = [t for t in self._threads if t.is_alive()]
            self._threads.append(thread)
            thread.start()

    def _serve(self, line: socket.socket, number: int) -> None:
        talk = _Talk(self, line, number)
        try:
            talk.run()
        except (OSError, _HungUpError):
            pass
        finally:
            talk.close()
            with self._lock:
                self._open.pop(number, None)


NOT_SMTP = {"long": f"250 {'x' * 9000}", "junk": "hello there", "odd": "354 once more"}


class _HungUpError(Exception):
    """The talk is over, whoever ended it."""


class _Talk:
    """One connection's talk."""

    def __init__(self, server: SmtpServer, line: socket.socket, number: int) -> None:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server = server
        self.plan = server.plan
        self.number = number
        self.line = line
        self.buffer = b""
        self.command = ""
        self.secured = False
        self.logged_in = False
        self.sender: str | None = None
        self.recipient: str | None = None
        self.mute = False  # the next reply is lost

    def run(self) -> None:
        if self.plan.tls == "ssl":
            self.secure()
        self.answer("banner", "220 test.example ESMTP")
        while True:
            self.command = self.hear()
            if self.plan.confused and self.buffer and self.confuse():
                continue
            verb = self.command.split(" ")[0].upper()
            getattr(self, f"do_{verb.lower()}", self.do_unknown)()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.line.close()

    # --- commands -------------------------------------------------------------------------

    def do_unknown(self) -> None:
        self.reply("500 5.5.1 unknown command")

    def do_ehlo(self) -> None:
        features = ["test.example", "8BITMIME", "ENHANCEDSTATUSCODES"]
        if self.plan.pipelining:
            features.append("PIPELINING")
        if self.plan.size is not None:
            features.append(f"SIZE {self.plan.size}")
        if self.plan.tls == "starttls" and not self.secured:
            features.append("STARTTLS")
        if self.plan.login and (self.secured or self.plan.login_in_clear):
            features += self.plan.auth_lines or [" ".join(["AUTH", *self.plan.mechanisms])]
        lines = [f"250-{feature}" for feature in features[:-1]] + [f"250 {features[-1]}"]
        self.answer("ehlo", "\r\n".join(lines))

    def do_helo(self) -> None:
        self.answer("helo", "250 test.example")

    def do_starttls(self) -> None:
        self.answer("starttls", "220 2.0.0 go on")
        self.secure()

    def do_auth(self) -> None:
        _, mechanism, *first = self.command.split(" ")
        if mechanism not in self.plan.understood:
            self.reply("504 5.5.4 unrecognized authentication type")
            return
        if mechanism == "XOAUTH2":
            self.take_token(_plain(first[0]))
            return
        if mechanism == "PLAIN":
            given = tuple(_plain(first[0]).split("\0")[1:])
        else:
            given = (_plain(self.ask("User")), _plain(self.ask("Password")))
        self.logged_in = given == self.plan.login
        self.answer("auth", "235 2.7.0 welcome" if self.logged_in else "535 5.7.8 wrong password")

    def take_token(self, said: str) -> None:
        """`user=…^Aauth=Bearer …^A^A`."""
        user, _, rest = said.removeprefix("user=").partition("\x01auth=Bearer ")
        known = self.plan.login is not None and user == self.plan.login[0]
        self.logged_in = known and rest.removesuffix("\x01\x01") in self.plan.tokens
        if not self.logged_in and self.plan.challenge:
            self.ask(self.plan.challenge)
        usual = "235 2.7.0 welcome" if self.logged_in else "535 5.7.3 Authentication unsuccessful"
        self.answer("auth", usual)

    def do_mail(self) -> None:
        if self.sender is not None:
            self.reply("503 5.5.1 nested MAIL")
            return
        if self.plan.login and not self.logged_in:
            self.reply("530 5.7.0 log in first")
            return
        sender = _address(self.command)
        # Known only once answered: whoever is refused here has not begun a mail.
        if self.answer("mail", "250 2.1.0 ok", sender):
            self.sender = sender

    def do_rcpt(self) -> None:
        if self.sender is None:
            self.reply("503 5.5.1 MAIL first")
            return
        recipient = _address(self.command)
        if self.answer("rcpt", "250 2.1.5 ok", recipient):
            self.recipient = recipient

    def do_data(self) -> None:
        if self.plan.eager and self.recipient is None:
            self.recipient = "nobody@test.example"
        if self.recipient is None or self.sender is None:
            self.reply("503 5.5.1 RCPT first")
            return
        sender, recipient = self.sender, self.recipient
        if self.answer("data", "354 go on", recipient):
            self.take_body(sender, recipient)
            self.sender = self.recipient = None

    def do_rset(self) -> None:
        self.sender = self.recipient = None
        self.answer("rset", "250 2.0.0 forgotten")

    def do_quit(self) -> None:
        self.answer("quit", "221 2.0.0 bye")
        raise _HungUpError

    def take_body(self, sender: str, recipient: str) -> None:
        step = self.server.tagged("body", recipient)
        if step:
            self.line.recv(100)
            self.perform(step.action, "")
            raise _HungUpError
        data = self.read_body()
        step = self.server.tagged("dot", recipient)
        action = step.action if step else self.server.next_action("dot")
        keep = step.keep if step else action == "ok" or action.startswith("2")
        if keep:
            mail = Accepted(datetime.now(UTC), sender, recipient, data, self.number)
            self.server.ledger.add(mail)
        self.perform(action, "250 2.0.0 taken")

    def confuse(self) -> bool:
        """Several commands came together; whether the first of them is done with."""
        match self.plan.confused:
            case "says":
                self.reply("500 Pipelining not supported")
                self.buffer = b""
                return True
            case "loses":
                self.buffer = b""
            case "muddles":
                self.mute = self.command.startswith("MAIL")
        return False

    # --- actions --------------------------------------------------------------------------

    def answer(self, stage: str, usual: str, address: str = "") -> bool:
        """Does what is to be done at `stage`; whether the usual reply was given."""
        step = self.server.tagged(stage, address) if address else None
        return self.perform(step.action if step else self.server.next_action(stage), usual)

    def perform(self, action: Action, usual: str) -> bool:
        match action:
            case "ok":
                self.reply(usual)
            case "slow":
                time.sleep(self.plan.slow)
                self.reply(usual)
            case "drip":
                self.drip(usual)
            case "close":
                raise _HungUpError
            case "flood":
                while True:
                    self.line.sendall(b"250 and so on " * 100)
            case "stall":
                self.server.stopping.wait()
                raise _HungUpError
            case "hang":
                while self.line.recv(4096):  # returns b"" when the client hangs up
                    pass
                raise _HungUpError
            case _:
                reply = NOT_SMTP.get(action, action)
                self.reply(reply)
                if reply.startswith("421"):
                    raise _HungUpError
        return action in {"ok", "slow", "drip"}

    def drip(self, reply: str) -> None:
        """`reply` with much before it, a byte at a time."""
        code = reply[:3]
        for byte in f"{code}-{'x' * 500}\r\n{reply}\r\n".encode():
            self.line.sendall(bytes([byte]))
            time.sleep(self.plan.drip)

    # --- bytes ----------------------------------------------------------------------------

    def secure(self) -> None:
        assert self.plan.ssl_context is not None
        self.buffer = b""
        raw = self.line
        raw.settimeout(10)
        self.line = self.plan.ssl_context.wrap_socket(raw, server_side=True)
        self.line.settimeout(None)
        self.server.opened(self.number, self.line)
        self.secured = True

    def reply(self, text: str) -> None:
        if not self.mute:
            self.line.sendall(f"{text}\r\n".encode())
        self.mute = False

    def ask(self, prompt: str) -> str:
        self.reply(f"334 {base64.b64encode(prompt.encode()).decode()}")
        return self.hear()

    def hear(self) -> str:
        line = self.read_until(b"\r\n").decode("utf-8", "replace")
        self.server.commands.append(Command(self.number, line, self.secured))
        return line

    def read_body(self) -> bytes:
        stuffed = self.read_until(b"\r\n.\r\n") if not self.starts_with_dot() else b""
        lines = (stuffed + b"\r\n" if stuffed else b"").split(b"\r\n")
        return b"\r\n".join(line.removeprefix(b".") for line in lines)

    def starts_with_dot(self) -> bool:
        """Whether the body is empty: the dot comes first."""
        while len(self.buffer) < 3:
            self.receive()
        if self.buffer.startswith(b".\r\n"):
            self.buffer = self.buffer[3:]
            return True
        return False

    def read_until(self, end: bytes) -> bytes:
        while end not in self.buffer:
            self.receive()
        found, _, self.buffer = self.buffer.partition(end)
        return found

    def receive(self) -> None:
        received = self.line.recv(65536)
        if not received:
            raise _HungUpError
        self.buffer += received


def _address(command: str) -> str:
    return command.partition("<")[2].rpartition(">")[0]


def _plain(text: str) -> str:
    return base64.b64decode(text).decode()
