"""PURE. Fingerprints of settings: which ones a database knows, and which differ here.

A program with the same database and other settings (a copy on another machine) would sign links
that no page can open, and record as accepted what went to a mail server of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

Stored = Mapping[str, Any]

KEYS_KEPT = 5  # one machine after the other is given the new key; none of the last ones is foreign
MAILBOX, LOOPBACK = "local mailbox", "this machine"  # whatever their port
SERVER = "SMTP_HOST"
_ALERTED = {"mail_from": "MAIL_FROM", "pages": "APP_BASE_URL"}


@dataclass(frozen=True, slots=True)
class Here:
    """What is compared, as the settings of this program have it. None: not set."""

    key: str  # keyed hashes: no key can be learned from them
    previous_key: str | None
    mail_server: str | None
    mail_from: str | None
    pages: str


class SettingChange(NamedTuple):
    """A setting that is another one here than the database knows, as the two are compared."""

    setting: str
    known: str | None
    here: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs."""

    foreign_key: bool = False  # neither SECRET_KEY nor SECRET_KEY_PREVIOUS is known
    server: SettingChange | None = None  # where the one that is known is another
    news: Sequence[SettingChange] = ()  # of the others

    @property
    def known_server(self) -> str | None:
        """The mail server that is known, where ours is another."""
        return self.server and self.server.known

    @property
    def changes(self) -> list[SettingChange]:
        """What differs but for the key: the mail server first."""
        return [*([self.server] if self.server else []), *self.news]

    @property
    def may_send(self) -> bool:
        """Whether the links are good and the mails go where they always went."""
        return not self.foreign_key and self.server is None


def compare(known: Stored, here: Here) -> Comparison:
    """What differs. A local mailbox leaves it open which server will be the first real one."""
    before = known.get("mail_server")
    open_still = before in (None, MAILBOX, here.mail_server) or here.mail_server is None
    return Comparison(
        foreign_key=not {here.key, here.previous_key} & set(known["keys"]),
        server=None if open_still else SettingChange(SERVER, str(before), here.mail_server),
        news=[
            SettingChange(setting, known.get(name), getattr(here, name))
            for name, setting in _ALERTED.items()
            if known.get(name) != getattr(here, name)
        ],
    )


def taken(here: Here) -> dict[str, Any]:
    """What a database without fingerprints takes, or one whose admin confirmed them."""
    return {
        "keys": [here.key],
        "mail_server": here.mail_server,
        "mail_from": here.mail_from,
        "pages": here.pages,
        "told": [],
    }


def learnt(known: Stored, here: Here) -> dict[str, Any]:
    """What is stored once this program, which may, has sent: a key that the previous one proves, the
    first real mail server, and which differences raised an alert.
    """
    keys = [one for one in known["keys"] if one != here.key]
    new = [one for one in (here.mail_from, here.pages) if one not in known["told"]]
    if known.get("mail_server") in (None, MAILBOX) and here.mail_server not in (None, MAILBOX):
        return {**taken(here), "keys": [here.key, *keys][:KEYS_KEPT]}
    stored = dict(known)
    if here.key not in known["keys"]:
        stored["keys"] = [here.key, *keys][:KEYS_KEPT]
    if compare(known, here).news and new:
        stored["told"] = [*new, *known["told"]][:20]
    return stored
