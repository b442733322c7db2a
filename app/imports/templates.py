"""A file to fill in: the headings in the reader's language, one example line, a page of help.

A workbook's columns have the formats that keep what is typed (001 stays 001), and lists to choose
from. The example must be written over: the import refuses it, so that no sample is mailed.
"""

import csv
import io
from collections.abc import Sequence
from datetime import date, time
from typing import Any

from app.locale import Both
from app.mime.headers import width
from app.people.columns import FILES, Column, FileKind, Form

FORMS = ("csv", "xlsx")
_LINES = 1_000  # for which a workbook offers lists to choose from
_FORMATS: dict[Form, str] = {"text": "@", "date": "yyyy-mm-dd", "time": "hh:mm", "number": "0"}
_HELP = Both("列の説明", "Columns")
_HELP_HEADINGS = (
    Both("見出し", "Heading"),
    Both("必要", "Needed"),
    Both("説明", "What it is"),
    Both("書ける言葉", "Words taken"),
)
_NEEDED = Both("必要", "yes")


def template(what: str, form: str, locale: str) -> bytes:
    """The file of `what` (a key of FILES) in one of FORMS."""
    kind = FILES[what]
    return _workbook(kind, locale) if form == "xlsx" else _csv(kind, locale)


def _csv(kind: FileKind, locale: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([one.name.to(locale) for one in kind.columns])
    writer.writerow([one.example.to(locale) for one in kind.columns])
    return text.getvalue().encode("utf-8-sig")  # without the mark Excel takes it for cp932


def _workbook(kind: FileKind, locale: str) -> bytes:
    from openpyxl import Workbook  # noqa: PLC0415 - slow, and seldom needed

    book: Any = Workbook()
    sheet = book.active
    sheet.title = kind.name.to(locale)
    for number, column in enumerate(kind.columns, 1):
        _fill(sheet, number, column, locale)
    sheet.freeze_panes = "A2"
    _explain(book.create_sheet(_HELP.to(locale)), kind.columns, locale)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _fill(sheet: Any, number: int, column: Column, locale: str) -> None:
    """Heading, example, format and choices of one column."""
    from openpyxl.utils import get_column_letter  # noqa: PLC0415 - as in `_workbook`

    name, example = column.name.to(locale), column.example.to(locale)
    _heading(sheet.cell(1, number, name), needed=column.needed)
    cell = sheet.cell(2, number, _typed(column.form, example) if example else None)
    letter = get_column_letter(number)
    whole = sheet.column_dimensions[letter]
    cell.number_format = whole.number_format = _FORMATS[column.form]
    whole.width = _width(name, example)
    if column.words is not None:
        _offer(sheet, f"{letter}2:{letter}{_LINES + 1}", column, locale)


def _typed(form: Form, text: str) -> object:
    if form == "date":
        return date.fromisoformat(text)
    if form == "time":
        return time.fromisoformat(text)
    return int(text) if form == "number" else text


def _offer(sheet: Any, cells: str, column: Column, locale: str) -> None:
    from openpyxl.worksheet.datavalidation import DataValidation  # noqa: PLC0415 - as above

    names = ",".join(word.name.to(locale) for word in column.words.words) if column.words else ""
    # A list to choose from; what else is taken may be typed all the same.
    choice = DataValidation(type="list", formula1=f'"{names}"', showErrorMessage=False)
    choice.add(cells)
    sheet.add_data_validation(choice)


def _heading(cell: Any, *, needed: bool) -> None:
    from openpyxl.styles import Font, PatternFill  # noqa: PLC0415 - as above

    cell.font = Font(bold=True)
    cell.fill = PatternFill("solid", fgColor="DCE3F2" if needed else "EEF0F3")


def _explain(sheet: Any, columns: Sequence[Column], locale: str) -> None:
    for number, heading in enumerate(_HELP_HEADINGS, 1):
        _heading(sheet.cell(1, number, heading.to(locale)), needed=False)
    for one in columns:
        words = " / ".join(word.name.to(locale) for word in one.words.words) if one.words else ""
        needed = _NEEDED.to(locale) if one.needed else ""
        sheet.append((one.name.to(locale), needed, one.help.to(locale), words))
    for letter, wide in zip("ABCD", (30, 10, 60, 60), strict=True):
        sheet.column_dimensions[letter].width = wide


def _width(*texts: str) -> float:
    """Of a column that shows these."""
    return max(map(width, texts)) + 3
