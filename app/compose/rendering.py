"""PURE. Letters rendered from templates to a text and an HTML part.

A template is rendered once for each form a letter can have (its language, how many tasks, what is
empty), with holes where the words of a member stand; a letter fills them. That takes a
fraction of the time of rendering both parts, and says the same, as the tests prove.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import escape

from app.compose.colours import DARK, LIGHT
from app.compose.line_breaking import LINE, within, wrap
from app.mime.body_encoding import Quoted, quote

Words = Mapping[str, object]

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
    form = tuple(zip(words, _with_holes(words.values(), values), strict=True))
    return _form(letter, form).filled(values, links)


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

_Key = tuple[tuple[str, object], ...]
# Private-use characters: no template holds them, nothing escapes them, and no value is rendered.
_HOLE = re.compile("\ue000([0-9]+)\ue001")
_HOLES = [f"\ue000{number}\ue001" for number in range(1000)]  # 20 tasks make 230
_ESCAPED = re.compile("[&<>\"']").search  # what markupsafe writes otherwise


def _with_holes(words: Iterable[object], values: list[str]) -> list[object]:
    """`words` with a hole for each text, which goes into `values`; empty ones stay, as templates
    ask for them."""
    form: list[object] = []
    for word in words:
        if type(word) is str and word:
            form.append(_HOLES[len(values)])
            values.append(word)
        elif isinstance(word, tuple):
            inner = _with_holes(word, values)
            form.append(word._make(inner) if hasattr(word, "_make") else tuple(inner))
        else:
            form.append(word)
    return form


class _Filled(NamedTuple):
    """Text with holes: as `%` fills it, and which of a letter's values go into it."""

    form: str
    pick: Callable[[Sequence[Any]], Any]  # of all values, those of the holes in turn

    def filled(self, values: Sequence[str]) -> str:
        text: str = self.form % self.pick(values)
        return text


class _Line(NamedTuple):
    """Lines of a text part: wrapped already where `line` is None."""

    wrapped: str
    line: _Filled | None

    def filled(self, values: Sequence[str], links: Collection[str]) -> str:
        if self.line is None:
            return self.wrapped
        return _wrapped(self.line.filled(values), links)


def _wrapped(line: str, links: Collection[str]) -> str:
    if within(line, LINE) or line.strip() in links:
        return f"{line}\n"
    return "".join([f"{one}\n" for one in wrap(line)])


def _split(text: str) -> _Filled:
    pieces = _HOLE.split(text)
    return _Filled("%s".join(one.replace("%", "%%") for one in pieces[::2]), _pick(pieces[1::2]))


def _pick(holes: Sequence[str]) -> Callable[[Sequence[Any]], Any]:
    numbers = [int(hole) for hole in holes]
    # Without holes: nothing, which "%" takes as well.
    return itemgetter(*numbers) if numbers else lambda _: ()


class _Form(NamedTuple):
    """A letter of which only the words of a member are missing."""

    text: Sequence[_Line]
    html: _Filled
    quoted: bytes  # the form of `html` as it goes on the wire

    def filled(self, values: Sequence[str], links: Collection[str]) -> Parts:
        shown = [str(escape(one)) if _ESCAPED(one) else one for one in values]
        return Parts(
            text="".join([line.filled(values, links) for line in self.text]),
            html=self._quoted(self.html.filled(shown), shown),
        )

    def _quoted(self, html: str, shown: Sequence[str]) -> str:
        try:
            pieces = [quote(one) for one in shown]
        except UnicodeEncodeError:  # building the mail refuses it by name
            return html
        return Quoted(html, self.quoted % self.html.pick(pieces))


@lru_cache(maxsize=FORMS)
def _form(letter: str, words: _Key) -> _Form:
    text, html = (render(f"{letter}.{kind}", dict(words)) for kind in ("txt", "html"))
    pieces = [quote(one).replace(b"%", b"%%") for one in _HOLE.split(f"{html}\n")[::2]]
    return _Form(_text_lines(text), _split(html), b"%b".join(pieces))


def _text_lines(text: str) -> list[_Line]:
    lines: list[_Line] = []
    for with_holes, group in groupby(
        text.splitlines(), key=lambda line: _HOLE.search(line) is not None
    ):
        if with_holes:
            lines += [_Line("", _split(line)) for line in group]
        else:
            lines.append(_Line("".join(_wrapped(line, ()) for line in group), None))
    return lines
