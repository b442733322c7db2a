"""PURE. A text as it goes on the wire: CRLF, and quoted-printable or base64 (RFC 2045 6.7, 6.8)."""

import binascii
import re
from functools import lru_cache
from typing import Self


class Quoted(str):
    """A text whose quoted-printable form is known already, from pieces that letters share."""

    __slots__ = ("quoted",)
    quoted: bytes

    def __new__(cls, text: str, quoted: bytes) -> Self:
        """`quoted`: what `quote` makes of each piece of the text and its line end, joined."""
        made = super().__new__(cls, text)
        made.quoted = quoted
        return made


ROOM = 1000  # octets by which a text that is known as quoted may be longer than as base64


@lru_cache(maxsize=2048)  # dates, states and other words that the mails of a morning share
def quote(piece: str) -> bytes:
    """A piece of a text in quoted-printable, so that others can follow (RFC 2045 6.7).

    A piece that does not end a line gets a soft line break; no piece ends between CR and LF.
    Raises UnicodeEncodeError.
    """
    if not piece:
        return b""
    if "\n" not in piece and "\r" not in piece:
        quoted = _quoted_line(piece.encode())
    else:
        content = _crlf(piece).encode()
        quoted = _printable(content)
        if content.endswith(b"\r\n"):
            return quoted
    if len(quoted) < LINE or len(quoted) - quoted.rfind(b"\n") <= LINE:
        return quoted + _SOFT
    # b2a_qp lets the last letter stand where the sign of the soft break has to.
    return quoted[:-1] + _SOFT + quoted[-1:] + _SOFT


def encoded(text: str) -> tuple[str, bytes]:
    """The name of the encoding and the bytes, with a line end at the end.

    The shorter of two safe encodings: English stays readable, Japanese is base64. A `Quoted` text
    stays quoted up to `ROOM` more: base64 takes time to make, and hides from app/outbox/compression.py
    what letters share. Raises UnicodeEncodeError.
    """
    lines = _crlf(text)
    content = (lines if lines.endswith("\r\n") else f"{lines}\r\n").encode()
    lines_of_57 = -(-len(content) // 57)
    as_base64 = -(-len(content) // 3) * 4 + 2 * lines_of_57
    if isinstance(text, Quoted):
        quoted = text.quoted
        as_base64 += ROOM
    elif len(content) + 2 * len(content.translate(None, _ASCII)) < as_base64:
        # Worth a try: it writes three letters for each byte beyond ASCII, and one for others.
        quoted = _printable(content)
    else:
        quoted = None
    if quoted is not None and len(quoted) < as_base64:
        return "quoted-printable", quoted
    return "base64", base64_lines(content)


def base64_lines(content: bytes) -> bytes:
    """Base64 in lines of 76."""
    # In one go and then cut: base64.encodebytes encodes each line by itself.
    flat = binascii.b2a_base64(content, newline=False)
    return b"".join([flat[at : at + 76] + b"\r\n" for at in range(0, len(flat), 76)])


def _crlf(text: str) -> str:
    # A lone CR is no line end: it is sent as it stands.
    return re.sub(r"\r?\n", "\r\n", text) if "\r" in text else text.replace("\n", "\r\n")


LINE = 76  # octets at most, the sign of a soft line break included (RFC 2045 6.7)
_SOFT = b"=\r\n"


def _printable(content: bytes) -> bytes:
    return b"\r\n".join(map(_quoted_line, content.split(b"\r\n")))


_ASCII = bytes(range(128))


def _quoted_line(line: bytes) -> bytes:
    # Not as text: in text mode b2a_qp lets a lone CR pass unencoded.
    return binascii.b2a_qp(line, istext=False).replace(b"=\n", b"=\r\n")
