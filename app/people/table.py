"""PURE. A table of text cells, as a file or a form gives it, and what is wrong with its lines."""

from dataclasses import dataclass, field

from app.locale import Both


@dataclass(frozen=True, slots=True)
class LineFault:
    """What is wrong with one cell, and how to mend it. Line 1 is the header; 0: the whole file."""

    line: int
    column: str
    sentence: Both


@dataclass(frozen=True, slots=True)
class TableRow:
    """One record: the line on which it begins, and its cells by column, blanks cut off."""

    line: int
    cells: dict[str, str]


@dataclass
class Table:
    """A file's records, those that could be read; `faults` are the lines that could not.

    `columns`: the keys of those that the file has; `skipped`: headings of those passed over.
    Its readers fill `read` (by line and column, what a cell became) and `hidden` (line, column
    and text of the cells in which a person does not see that).
    """

    columns: frozenset[str]
    kind: Both
    encoding: str
    skipped: list[str] = field(default_factory=list)
    rows: list[TableRow] = field(default_factory=list)
    faults: list[LineFault] = field(default_factory=list)
    read: dict[int, dict[str, str]] = field(default_factory=dict)
    hidden: list[tuple[int, str, str]] = field(default_factory=list)
