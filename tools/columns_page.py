"""Writes the tables of docs/csv.md and docs/csv.ja.md from app/people/columns.py.

`python tools/columns_page.py` after a column changed; a test compares them.
"""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from app.locale import Both  # noqa: E402 - the project has no installed package for tools
from app.people.columns import FILES, Column  # noqa: E402 - as above

PAGES = {"en": PROJECT / "docs/csv.md", "ja": PROJECT / "docs/csv.ja.md"}
_BEGIN, _END = "<!-- columns -->\n", "<!-- end of columns -->\n"
_HEAD = Both(
    "| 見出し | 名前 | 必要 | 説明と、書ける言葉 |",
    "| heading | key | needed | what it is, and the words taken |",
)
_NEEDED = Both("○", "yes")


def tables(locale: str) -> str:
    """A table for each kind of file, in one language."""
    parts = []
    for kind in FILES.values():
        parts.append(f"### {kind.name.to(locale)} (`{kind.what}`)\n\n{_HEAD.to(locale)}")
        parts[-1] += "\n|---|---|---|---|\n"
        parts[-1] += "".join(_row(column, locale) for column in kind.columns)
    return "\n".join(parts)


def _row(one: Column, locale: str) -> str:
    words = one.words.words if one.words else ()
    taken = Both("、", ", ").to(locale).join(f"{w.name.to(locale)} `{w.value}`" for w in words)
    needed = _NEEDED.to(locale) if one.needed else ""
    told = f"{one.help.to(locale)} {taken}".strip()
    cells = (one.name.to(locale), f"`{one.key}`", needed, told)
    return f"| {' | '.join(cells)} |\n".replace("|  |", "| |")


def written(page: str, locale: str) -> str:
    """The page with its tables as they are now."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{tables(locale)}\n{_END}{after}"


if __name__ == "__main__":
    for language, file in PAGES.items():
        file.write_text(written(file.read_text(encoding="utf-8"), language), encoding="utf-8")
