"""PURE. The AI's answer, checked: every line must name reports that exist and say what they say.

An answer is used whole or not at all: a line that was made up says something about the others.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.ai.prompt import LINES, Prompt
from app.compose.text import Locale
from app.mime.message import width

MOST_BYTES = 64 * 1024
_MAPPED = 150  # columns of a line once the stand-ins are names again
_CITED = 3

# What a mail program might make a link of, or a reader might write to.
_NO_PLAIN_TEXT = re.compile(
    r"://|www\.|@|\uff20|\]\(|<[A-Za-z/!]|[`\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
    r"|[0-9A-Za-z-]\.[A-Za-z]{2,}|(?:mailto|tel|javascript):",
    re.IGNORECASE,
)
_STAND_IN = re.compile(r"(?:Member|Task)-[0-9]+")
_KANA = re.compile(r"[\u3041-\u30ff]")
_JAPANESE = re.compile(r"[\u3005\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)


class Unusable(Exception):
    """The counted recap takes its place; the text is one word that says why."""


@dataclass(frozen=True, slots=True)
class RecapLine:
    """One line, and the reports it rests on."""

    text: str
    reports: tuple[int, ...]

    def shown(self) -> str:
        """As the letter shows it."""
        return f"{self.text} [{', '.join(f'#{one}' for one in self.reports)}]"

    def as_json(self, prompt: Prompt) -> dict[str, Any]:
        """As it is stored: with what the reports stood for."""
        states = [prompt.reports[one] for one in self.reports]
        return {"text": self.text, "reports": list(self.reports), "states": states}


def read(text: str, prompt: Prompt, locale: Locale) -> list[RecapLine]:
    """The lines of an answer, with names in place of stand-ins. Raises Unusable."""
    lines = [_line(one) for one in _listed(text)]
    check_reports(lines, prompt)
    words = [_words_alone(one.text, prompt) for one in lines]
    if not all(_in_language(one, locale) for one in words) or not (
        locale == "en" or any(_KANA.search(one) for one in words)
    ):
        raise Unusable("wrong_language")
    return [RecapLine(_named(one.text, prompt), one.reports) for one in lines]


def still_so(found: Sequence[Mapping[str, Any]], prompt: Prompt) -> list[RecapLine]:
    """Stored lines, where each report is still there and stands for the same.

    Raises Unusable: who was stuck at eight and is not at nine must not be called stuck.
    """
    lines = [RecapLine(one["text"], tuple(one["reports"])) for one in found]
    check_reports(lines, prompt)
    if [one.as_json(prompt) for one in lines] != list(found):
        raise Unusable("changed_meanwhile")
    return lines


def check_reports(lines: Sequence[RecapLine], prompt: Prompt) -> None:
    """Every report exists, and what is blocked comes first.

    Raises Unusable.
    """
    if not {one for line in lines for one in line.reports} <= prompt.reports.keys():
        raise Unusable("made_up_report")
    stuck = [bool(prompt.blocked.intersection(line.reports)) for line in lines]
    if stuck != sorted(stuck, reverse=True) or (prompt.blocked and not any(stuck)):
        raise Unusable("blocked_not_first")


def _listed(text: str) -> list[Any]:
    plain = text.strip()
    if not plain:
        raise Unusable("empty")
    fenced = _FENCE.fullmatch(plain)
    try:
        found = json.loads(fenced[1] if fenced else plain)
    except (ValueError, RecursionError):
        raise Unusable("no_json") from None
    lines = found.get("lines") if isinstance(found, dict) else None
    if not isinstance(lines, list):
        raise Unusable("no_json")
    if not lines:
        raise Unusable("empty")
    if len(lines) > LINES:
        raise Unusable("too_long")
    return lines


def _line(one: object) -> RecapLine:
    if not isinstance(one, Mapping):
        raise Unusable("no_json")
    text, reports = one.get("text"), one.get("reports")
    if not isinstance(text, str) or not isinstance(reports, list):
        raise Unusable("no_json")
    if not all(type(number) is int for number in reports):
        raise Unusable("no_json")
    if not text.strip():
        raise Unusable("empty")
    if not reports:
        raise Unusable("no_report_named")
    if width(text) > _MAPPED or len(set(reports)) > _CITED:
        raise Unusable("too_long")
    return RecapLine(text.strip(), tuple(dict.fromkeys(reports)))


def _words_alone(text: str, prompt: Prompt) -> str:
    """The AI's own words. Raises Unusable where they are more than plain text."""
    for word in sorted(prompt.known, key=len, reverse=True):
        if not prompt.stand_ins:  # names went in, so they may come back, whatever they hold
            text = text.replace(word, " ")
    if _NO_PLAIN_TEXT.search(text) or not text.isprintable():
        raise Unusable("no_plain_text")
    return _STAND_IN.sub(" ", text)


def _in_language(words: str, locale: Locale) -> bool:
    """By its script: a third of the letters Japanese, or nine in ten English."""
    letters = [one for one in words if one.isalpha()]
    if locale == "en":
        return sum(one.isascii() for one in letters) >= max(3, 0.9 * len(letters))
    return sum(bool(_JAPANESE.match(one)) for one in letters) >= max(1, len(letters) / 3)


def _named(text: str, prompt: Prompt) -> str:
    def name(found: re.Match[str]) -> str:
        if found[0] not in prompt.stand_ins:
            raise Unusable("made_up_name")
        return prompt.stand_ins[found[0]]

    named = _STAND_IN.sub(name, text) if prompt.stand_ins else text
    if width(named) > _MAPPED:
        raise Unusable("too_long")
    return named
