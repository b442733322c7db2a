"""PURE. An EnvironmentFile as systemd reads it, which differs from python-dotenv."""

import re

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COMMENT = re.compile(r"[#;][^\n]*")
_KEY = re.compile(r"([^=\n]*)(=?)")
_SINGLE = re.compile(r"'([^']*)'?")
_DOUBLE = re.compile(r'"((?:\\.|[^"\\])*)"?', re.DOTALL)
_BARE = re.compile(r"((?:\\.|[^\\\n])*)\\?", re.DOTALL)
_BETWEEN = re.compile(r"[ \t\r\n]+")
_BLANKS = re.compile(r"[ \t\r]*")


def read(text: str) -> dict[str, str]:
    r"""The variables of a file as systemd's `EnvironmentFile=` takes them.

    Nothing is expanded, ` #` begins no comment, and `export X` is no name. Quotes count only
    where a value begins; what follows them is joined to it without the blanks between. A
    backslash goes and what follows it stays; before the end of a line it joins the next one.
    Source: systemd.exec(5), and src/basic/env-file.c of systemd 254.
    """
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        if between := _BETWEEN.match(text, at):
            at = between.end()
        elif comment := _COMMENT.match(text, at):
            at = comment.end()
        else:
            key = _KEY.match(text, at)
            assert key is not None  # noqa: S101 - it matches nothing, too
            at = key.end()
            if key[2]:
                value, at = _value(text, at)
                if _NAME.fullmatch(key[1].rstrip()):
                    found[key[1].rstrip()] = value
    return found


def _value(text: str, at: int) -> tuple[str, int]:
    """The value that begins at `at`, and where it ends."""
    value = ""
    while True:
        blanks = _BLANKS.match(text, at)
        at = blanks.end() if blanks else at
        if quoted := _SINGLE.match(text, at):
            value, at = value + quoted[1], quoted.end()
        elif quoted := _DOUBLE.match(text, at):
            value, at = value + _in_quotes(quoted[1]), quoted.end()
        else:
            bare = _BARE.match(text, at)
            return (value + _bare(bare[1]), bare.end()) if bare else (value, at)


def _in_quotes(text: str) -> str:
    """A backslash goes before what a shell would escape, and with the end of a line."""
    return re.sub(r'\\(?:([$`"\\])|\n)', lambda found: found[1] or "", text)


def _bare(text: str) -> str:
    """Blanks at the end go, unless they were escaped."""
    kept = text.rstrip(" \t\r")
    if (len(kept) - len(kept.rstrip("\\"))) % 2:
        kept = text[: len(kept) + 1]
    return re.sub(r"\\(.)", lambda found: found[1].rstrip("\n"), kept, flags=re.DOTALL)
