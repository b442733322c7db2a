"""QUIET. How letters look: the colours, and templates rendered to a text and an HTML part."""

from collections.abc import Collection, Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

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


def html(template: str, words: Words) -> str:
    """The HTML part; whatever is in `words` is escaped."""
    return _TEMPLATES.get_template(template).render(words)


def text(template: str, words: Words, links: Collection[str]) -> str:
    """The text part: lines at most `LINE` columns wide, except that `links` stay whole."""
    rendered = _TEMPLATES.get_template(template).render(words)
    lines: list[str] = []
    for line in rendered.splitlines():
        lines += [line] if line.strip() in links else wrap(line)
    return "\n".join(lines) + "\n"
