"""The folder of the local mailbox: one `.eml` file per caught mail, nothing else.

The SMTP server (catcher.py) fills it, the pages (web/mailbox.py) read it. A mail's id is its
file's name: the UTC time it was caught, so that names sort by age, and a random tail.
"""

import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from heapq import nlargest
from pathlib import Path

from app.mime.parts import or_else
from app.util.private import write_whole

_ID = re.compile(r"\d{8}T\d{12}-[0-9a-f]{8}")
_STAMP = "%Y%m%dT%H%M%S%f"
_HEAD_BYTES = 65_536  # the list reads no more of a file than this; headers end long before


@dataclass(frozen=True)
class Caught:
    """One line of the list. `sender` and `recipient` are what the mail's own headers say."""

    id: str
    sender: str
    recipient: str
    subject: str


def keep(folder: Path, data: bytes, *, sender: str, recipient: str, now: datetime) -> str:
    """Store one mail and return its id; when this returns, the mail survives a power cut.

    The envelope is written in front of it as a final delivery does (RFC 5321, 4.4): Return-Path
    and, by custom, Delivered-To. Raises OSError when it could not be stored; then no file is left.
    """
    mail_id = f"{now.astimezone(UTC).strftime(_STAMP)}-{secrets.token_hex(4)}"
    envelope = f"Return-Path: <{sender}>\r\nDelivered-To: {recipient}\r\n"
    write_whole(folder / f"{mail_id}.eml", envelope.encode("utf-8", "replace") + data)
    return mail_id


def newest(folder: Path, *, before: str | None = None, limit: int = 50) -> list[Caught]:
    """The `limit` newest mails, newest first; with `before`, those older than that mail."""
    ids = (name.removesuffix(".eml") for name in _names(folder) if name.endswith(".eml"))
    wanted = (i for i in ids if _ID.fullmatch(i) and (before is None or i < before))
    found = (_caught(folder, mail_id) for mail_id in nlargest(limit, wanted))
    return [one for one in found if one is not None]


def _names(folder: Path) -> Sequence[str]:
    """An empty list for a mailbox that caught nothing yet."""
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are enough; a Path each is slow for many
    except FileNotFoundError:
        return ()


def _caught(folder: Path, mail_id: str) -> Caught | None:
    """None for a mail that was deleted meanwhile."""
    try:
        with (folder / f"{mail_id}.eml").open("rb") as file:
            message = parse(file.read(_HEAD_BYTES))
    except FileNotFoundError:
        return None
    return Caught(
        id=mail_id,
        sender=header(message, "From"),
        recipient=header(message, "To") or header(message, "Delivered-To"),
        subject=header(message, "Subject"),
    )


def caught_at(mail_id: str) -> datetime:
    """When the mail with this id was caught, aware, UTC."""
    return datetime.strptime(mail_id.partition("-")[0], _STAMP).replace(tzinfo=UTC)


def read(folder: Path, mail_id: str) -> bytes | None:
    """The stored bytes, envelope lines first; None when there is no such mail."""
    if not _ID.fullmatch(mail_id):  # also what keeps `../` out of the path
        return None
    try:
        return (folder / f"{mail_id}.eml").read_bytes()
    except FileNotFoundError:
        return None


def parse(data: bytes) -> EmailMessage:
    """The mail as the standard library reads it; broken mails parse too, with defects."""
    return message_from_bytes(data, policy=policy.default)


def header(message: EmailMessage, name: str) -> str:
    """A header as a person reads it, "" when missing; one that cannot be read gives "?"."""
    return or_else("?", lambda: str(message[name] or ""))
