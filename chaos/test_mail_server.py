"""The mail server refuses, hangs, hangs up, and is away."""

import re
import signal
from datetime import timedelta

import pytest
import trustme

from app.models import State
from chaos.conftest import Make
from chaos.proxy import CutError, Line
from chaos.rig import NINE, Rig


@pytest.mark.ci
@pytest.mark.row("F40", "421 as banner 3 times, at MAIL, on a reused connection")
def test_a_server_that_says_421(rig: Rig) -> None:
    gone = "421 4.3.2 going down"
    rig.mail_server.start(
        script={"banner": [gone] * 3, "mail": [gone, "ok", "ok", gone, "ok", gone, gone]}
    )
    rig.sender()
    rig.drain()
    assert max(row.claims for row in rig.rows()) == 1


@pytest.mark.row("F41", "451 once and twice")
def test_refused_for_now(rig_of: Make) -> None:
    rig = rig_of(tags={2: "451x1", 5: "451x2", 8: "dot451x1"})
    rig.sender()
    rig.until(lambda: rig.row(2).state == State.ACCEPTED, "after once", within=180)
    rig.drain(within=600)


@pytest.mark.row("F41", "451 until it expires")
def test_refused_until_it_expires(rig_of: Make) -> None:
    rig = rig_of(tags={2: "451"})
    rig.expect(2, State.EXPIRED)
    early = rig.sender()
    rig.until(lambda: rig.row(2).retries >= 2, "two retries")
    rig.until(lambda: rig.states().count(State.ACCEPTED) == 19, "the others")
    rig.end(early, signal.SIGTERM)
    rig.set_clock(NINE + timedelta(hours=12))
    rig.sender()
    rig.drain()
    assert any("expired" in alert for alert in rig.alerts())


@pytest.mark.row("F42", "550 at RCPT for one of 20")
def test_one_unknown_recipient(rig_of: Make) -> None:
    rig = rig_of(tags={7: "550"}, connections=3)
    rig.expect(7, State.FAILED)
    rig.sender()
    rig.drain()
    refused = rig.row(7)
    assert "550 5.1.1 no such user" in str(refused.response)
    assert (refused.claims, refused.retries) == (1, 0)


@pytest.mark.row("F43", "552 and 554 at the dot")
def test_refused_at_the_dot(rig_of: Make) -> None:
    rig = rig_of(tags={3: "dot552", 11: "dot554"}, connections=3)
    rig.expect(3, State.FAILED)
    rig.expect(11, State.FAILED)
    rig.sender()
    rig.drain()


@pytest.mark.ci
@pytest.mark.row(
    "F44", "refuses, swallows everything, no way to it, or no such name, for 30 minutes"
)
def test_a_server_that_is_away(rig: Rig) -> None:
    no_name = rig.folder / "no-name"
    away, back = [
        (rig.wire.refuse, rig.wire.listen),
        (rig.wire.stall, rig.wire.flow),
        (rig.wire.vanish, rig.wire.listen),
        (no_name.touch, no_name.unlink),
    ][rig.seed % 4]
    away()
    rig.sender("--no-name", str(no_name))
    rig.pause(1800)
    assert rig.mail_server.count() == 0
    assert "mail_server_unusable" in rig.alerts()
    assert max(row.claims for row in rig.rows()) <= 1
    back()
    rig.drain(within=300)


@pytest.mark.row("F45", "hangs at banner, EHLO, MAIL, RCPT and 354")
def test_a_server_that_hangs_before_the_dot(rig_of: Make) -> None:
    rig = rig_of(tags={1: "hangrcptx1", 6: "hangdatax1"}, connections=2)
    rig.mail_server.start(
        script={"banner": ["hang"], "ehlo": ["ok", "hang"], "mail": ["ok", "ok", "hang"]}
    )
    rig.sender()
    rig.drain()
    assert max(rig.wire.lasted) <= rig.seconds(90)


@pytest.mark.row("F45", "stops reading in the body of a small mail: its dot is on the way")
def test_a_server_that_hangs_in_the_body(rig_of: Make) -> None:
    rig = rig_of(tags={12: "hangbodyx1"}, connections=2)
    rig.sender()
    rig.drain()


@pytest.mark.row("F46", "hangs after the dot, has accepted")
def test_a_server_that_accepts_and_says_nothing(rig_of: Make) -> None:
    rig = rig_of(tags={3: "hangdotx1"})
    rig.extra_allowed = 1
    rig.sender()
    rig.drain()


@pytest.mark.row("F47", "hangs after the dot, has not accepted")
def test_a_server_that_forgets_and_says_nothing(rig_of: Make) -> None:
    rig = rig_of(tags={3: "hangdotlostx1"})
    rig.sender()
    rig.drain()


@pytest.mark.row("F48", "closes in the body")
def test_a_server_that_hangs_up_in_the_body(rig_of: Make) -> None:
    rig = rig_of(tags={3: "closebodyx1", 4: "closedatax1", 15: "closercptx1"}, connections=2)
    rig.sender()
    rig.drain()


@pytest.mark.row("F52", "login refused (535), not now (454), or asked for (530)")
def test_a_refused_login(rig: Rig) -> None:
    case = rig.random.choice(["535 5.7.8 wrong password", "454 4.7.0 not now", "530"])
    login = ["app@example.jp", "a made-up word"]
    if case == "530":
        rig.mail_server.start(login=login)
        settings = {}
    else:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(rig.folder / "ca.pem"))
        certificate = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
        certificate.write_to_path(str(rig.folder / "server.pem"))
        tls = {"tls": "starttls", "certificate": str(rig.folder / "server.pem"), "login": login}
        rig.mail_server.start(**tls, script={"auth": [case, "always"]})
        settings = {
            "SMTP_SECURITY": "starttls",
            "SMTP_USERNAME": login[0],
            "SMTP_PASSWORD": login[1],
            "SSL_CERT_FILE": str(rig.folder / "ca.pem"),
        }
    rig.sender(**settings)
    rig.until(lambda: "mail_server_unusable" in rig.alerts(), "the alert", within=60)
    assert set(rig.states()) <= {State.READY, State.SENDING}
    assert login[1] not in rig.logs()
    if case == "530":
        rig.mail_server.start()
    else:
        rig.mail_server.start(**tls)
    rig.drain()
    assert max(row.claims for row in rig.rows()) == 1


@pytest.mark.row("F53", "a 4.7.1 throttle after every 5 mails")
def test_a_throttling_server(rig_of: Make) -> None:
    rig = rig_of(connections=2)
    rig.mail_server.start(script={"rcpt": ([*["ok"] * 5, "451 4.7.1 slow down"]) * 10})
    rig.sender()
    rig.drain()


CUTS = 20  # of one run: 100 with five seeds


DOT = b"\r\n.\r\n"


class Scissors:
    """Cuts half of the connections after some bytes in either direction."""

    def __init__(self, rig: Rig, cuts: int) -> None:
        self.left = cuts
        self.rig = rig
        self.limits: dict[Line, tuple[int, int]] = {}
        self.in_the_dot_window = 0
        rig.wire.from_client = self.from_client
        rig.wire.from_server = self.from_server

    def limit(self, line: Line) -> tuple[int, int]:
        never = 10**9
        if line not in self.limits:
            chance, where = self.rig.random.random(), self.rig.random
            self.limits[line] = (never, never)
            if chance < 0.3:
                self.limits[line] = (where.randrange(1, 9000), never)
            elif chance < 0.6:
                self.limits[line] = (never, where.randrange(1, 500))
        return self.limits[line]

    def from_client(self, line: Line, data: bytes) -> None:
        if line.sent + len(data) > self.limit(line)[0]:
            # The next mail's offer comes with the dot: a cut between the two is in the window.
            self.in_the_dot_window += self.left > 0 and DOT in line.seen
            self.snip()
        line.seen = (line.seen + data)[-20_000:]

    def from_server(self, line: Line, data: bytes) -> None:
        if line.heard + len(data) > self.limit(line)[1]:
            if DOT in line.seen and re.match(rb"250", data):
                self.in_the_dot_window += self.left > 0
            self.snip()
        line.seen = b""

    def snip(self) -> None:
        if self.left > 0:
            self.left -= 1
            raise CutError


@pytest.mark.row("F54", f"{CUTS} cuts at any byte of up to 20 connections at once")
def test_connections_cut_at_any_byte(rig_of: Make) -> None:
    rig = rig_of(
        members=200, connections=20
    )  # few connections are made anew: more mails, more cuts
    rig.allow_many()
    scissors = Scissors(rig, CUTS)
    rig.sender()
    rig.drain()
    rig.extra_allowed = scissors.in_the_dot_window
    assert scissors.left < CUTS / 2
