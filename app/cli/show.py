"""Showing data: tables aligned by what a terminal shows, or JSON."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click

from app.compose.text import inert
from app.mime.message import width


def show_json(data: Any) -> None:
    """One JSON document; Japanese as it is."""
    click.echo(json.dumps(data, ensure_ascii=False, indent=2, default=str))


def show_json_list(items: Iterable[Any]) -> None:
    """One JSON list, an item a line, written as the items come."""
    before = "["
    for item in items:
        click.echo(f"{before}\n{json.dumps(item, ensure_ascii=False, default=str)}", nl=False)
        before = ","
    click.echo("\n]" if before == "," else "[]")


def show_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns as wide as their widest cell; a kanji takes two columns."""
    cells = [[_cell(value) for value in row] for row in rows]
    wide = [max(width(row[n]) for row in [list(headers), *cells]) for n in range(len(headers))]
    for row in [list(headers), *cells]:
        padded = (cell + " " * (wide[n] - width(cell)) for n, cell in enumerate(row))
        click.echo("  ".join(padded).rstrip())


def _cell(value: object) -> str:
    return "-" if value is None or value == "" else inert(str(value))
