"""QUIET. How letters look: the colours, and templates rendered to a text and an HTML part.

A template is rendered once for each form a letter can have (its language, how many tasks, what is
empty), with holes where the words of a member stand; a letter fills them. That takes 35 us where
rendering both parts takes 130 us, and says the same, as the tests prove.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import escape

from app.compose.text import wrap

Words = Mapping[str, object]

# Each colour of words stands on the paper of its theme at 4.5:1 or better (WCAG 2.2, 1.4.3), which
# is why amber is darker here than in marks on pages: #b76e00 on white has only 4.0:1.
LIGHT = {
    "paper": "#ffffff",
    "ink": "#1f2933",
    "muted": "#52606d",
    "line": "#d9dee4",
    "accent": "#274690",
    "on_accent": "#ffffff",
    "red": "#c0392b",
    "amber": "#a86500",
    "teal": "#1b7f79",
}
DARK = {
    "paper": "#14181d",
    "ink": "#e6e9ed",
    "muted": "#a8b3bf",
    "line": "#3a434d",
    "accent": "#9db4f0",
    "on_accent": "#14181d",
    "red": "#f08a7c",
    "amber": "#e5a54b",
    "teal": "#5cc4bc",
}

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1] / "templates" / "mail"),
    autoescape=select_autoescape(("html",)),
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals.update(light=LIGHT, dark=DARK)


class Fixed(str):
    """A word that a template looks at or looks up with, rather than shows: never a hole."""

    __slots__ = ()


class Parts(NamedTuple):
    """A letter's two bodies."""

    text: str
    html: str


def parts(letter: str, words: Words, links: Collection[str]) -> Parts:
    """`letter`.txt and `letter`.html with `words`, which the HTML part shows escaped.

    Lines of the text part are at most `LINE` columns wide, except that `links` stay whole.
    """
    values: list[str] = []
    form = tuple((name, _with_holes(value, values)) for name, value in words.items())
    shown = [str(escape(value)) for value in values]
    return Parts(
        text="".join(line.filled(values, links) for line in _text_lines(f"{letter}.txt", form)),
        html=_html(f"{letter}.html", form).filled(shown),
    )


def rendered(letter: str, words: Words, links: Collection[str]) -> Parts:
    """As `parts`, for a letter that has no two alike: its form is not kept."""
    text = render(f"{letter}.txt", words)
    return Parts(
        text="".join(_wrapped(line, links) for line in text.splitlines()),
        html=render(f"{letter}.html", words),
    )


def render(template: str, words: Words) -> str:
    """The template with `words`, all of it rendered."""
    return _TEMPLATES.get_template(template).render(words)


# --- forms with holes ---------------------------------------------------------------------

# Forms kept at once. One task makes a dozen forms; twenty tasks, a form for nearly each letter.
FORMS = 128

_Form = tuple[tuple[str, object], ...]
# Private-use characters: no template holds them, nothing escapes them, and no value is rendered.
_HOLE = re.compile("\ue000([0-9]+)\ue001")


@cache
def _hole(number: int) -> str:
    return f"\ue000{number}\ue001"


def _with_holes(value: object, values: list[str]) -> object:
    """`value` with a hole for each text, which goes into `values`; empty ones stay, as templates
    ask for them."""
    if isinstance(value, str):
        if not value or isinstance(value, Fixed):
            return value
        values.append(value)
        return _hole(len(values) - 1)
    if isinstance(value, tuple):
        inner = [_with_holes(one, values) for one in value]
        return value._make(inner) if hasattr(value, "_make") else tuple(inner)
    return value


class _Filled(NamedTuple):
    """Text between holes: `between[0]`, the value number `holes[0]`, `between[1]` ..."""

    between: Sequence[str]
    holes: Sequence[int]

    def filled(self, values: Sequence[str]) -> str:
        made = [""] * (2 * len(self.holes) + 1)
        made[::2] = self.between
        made[1::2] = [values[hole] for hole in self.holes]
        return "".join(made)


class _Line(NamedTuple):
    """Lines of a text part: wrapped already where `line` is None."""

    wrapped: str
    line: _Filled | None

    def filled(self, values: Sequence[str], links: Collection[str]) -> str:
        if self.line is None:
            return self.wrapped
        return _wrapped(self.line.filled(values), links)


def _wrapped(line: str, links: Collection[str]) -> str:
    whole = line.strip() in links
    return f"{line}\n" if whole else "".join(f"{one}\n" for one in wrap(line))


def _split(text: str) -> _Filled:
    pieces = _HOLE.split(text)
    return _Filled(pieces[::2], [int(number) for number in pieces[1::2]])


@lru_cache(maxsize=FORMS)
def _html(template: str, form: _Form) -> _Filled:
    return _split(render(template, dict(form)))


@lru_cache(maxsize=FORMS)
def _text_lines(template: str, form: _Form) -> list[_Line]:
    lines: list[_Line] = []
    rendered = render(template, dict(form)).splitlines()
    for with_holes, group in groupby(rendered, key=lambda line: _HOLE.search(line) is not None):
        if with_holes:
            lines += [_Line("", _split(line)) for line in group]
        else:
            lines.append(_Line("".join(_wrapped(line, ()) for line in group), None))
    return lines
