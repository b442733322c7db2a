"""The names that stand in `.env`: a setting that is misspelt must not silently be none.

`MAIL_ONLYTO=me@example.jp` would mail everybody. So what looks like a name of ours and is none, a
name in small letters, a line without `=`, and a name with two values are faults; any other name is
told by `doctor`.
"""

import io
import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from app.config.sources import Faults, Warnings, line_of
from app.words import Both

# Of other programs that read the same environment: a shell, Python, make, the web server.
_OF_OTHERS = re.compile(
    r"(?:PORT|TZ|LANG|LANGUAGE|PATH|HOME)|(?:LC|PYTHON|GUNICORN|WEB|PG|SSL)_?\w*"
)
# Above what two names of ours have in common; SMTP_USER and SMTP_PASS are near enough.
_NEAR = 0.81
_LONGEST = 60  # characters of a name that is compared


def check_names(path: Path, known: Collection[str], faults: Faults, said: Warnings) -> None:
    """Adds what is wrong with the names of the file at `path`; one that cannot be read is told
    where its values are read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return
    first: dict[str, Binding] = {}
    for line, binding in _lines(text):
        name = binding.key or ""
        if binding.value is None:
            faults.append((path.name, _without_value(line)))
        elif name not in known:
            _unknown(path, binding, known, faults, said)
        elif first.setdefault(name, binding).value != binding.value:
            faults.append((name, _twice(line_of(first[name]), line)))


def _lines(text: str) -> Iterator[tuple[int, Binding]]:
    """Each setting with its line; what is none at all is told where the values are read."""
    for binding in parse_stream(io.StringIO(text)):
        if binding.key and not binding.error:
            yield line_of(binding), binding


def _unknown(
    path: Path, binding: Binding, known: Collection[str], faults: Faults, said: Warnings
) -> None:
    line, name = line_of(binding), binding.key or ""
    near = _nearest(name, known)
    if near:
        faults.append((path.name, _misspelt(line, name, near)))
    elif not _OF_OTHERS.fullmatch(name):
        shown = name[:_LONGEST]
        said.append(
            Both(
                f"{path.name} の{line}行目: {shown} という設定はありません。使われません。",
                f"{path.name}, line {line}: there is no setting {shown}. It is not used.",
            )
        )


def _nearest(name: str, known: Collection[str]) -> str | None:
    """The name of ours that was meant, whatever its letters and underscores."""
    alike = {one.replace("_", ""): one for one in known}
    plain = re.sub(r"[^A-Z0-9]", "", name.upper()[:_LONGEST])
    if plain in alike:
        return alike[plain]
    close = get_close_matches(name.upper()[:_LONGEST], sorted(known), n=1, cutoff=_NEAR)
    return close[0] if close else None


def _misspelt(line: int, name: str, near: str) -> Both:
    shown = name[:_LONGEST]
    return Both(
        f"{line}行目: {shown} という設定はありません。{near} ではありませんか。使わない行なら "
        "# を付けてください。",
        f"Line {line}: there is no setting {shown}. Did you mean {near}? Put # before a line that "
        "is not used.",
    )


def _twice(first: int, second: int) -> Both:
    return Both(
        f"{first}行目と{second}行目に、違う値で2回書かれています。どちらかを消してください。",
        f"It stands in lines {first} and {second} with two values. Remove one of them.",
    )


def _without_value(line: int) -> Both:
    return Both(
        f"{line}行目に = がありません。名前=値 の形で書いてください。",
        f"Line {line} has no =. Write NAME=value.",
    )
