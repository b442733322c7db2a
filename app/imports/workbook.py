"""PURE. An Excel workbook as bytes -> the rows of its first visible sheet, as text cells.

A cell becomes what a person sees in it, as far as that has one meaning: a date, a time, 80%, a
ref with its leading zeros. openpyxl reads the sheet; each part is bounded before it opens it,
since a zip of a few kilobytes may hold gigabytes, and XML may hold entities.
"""

import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import IO, Any

from app.imports.file_rows import FileRows, ImportRefused, Row, check_lines, whole_file
from app.locale import Both
from app.people.table import LineFault

_END, _END_64 = b"PK\x05\x06", b"PK\x06\x07"  # of a zip; the second leads to a larger end
_ZIP = (b"PK\x03\x04", _END)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")  # MS-OFFCRYPTO 2.3.4.4

_MOST_COLUMNS = 100
_LAST_ROW = 1 << 20  # of any sheet of Excel
_DIRECTORY = 500_000  # bytes of a zip's directory: some thousand entries
_BYTES, _BYTES_A_LINE = 40_000_000, 1_000  # unpacked: for all of a file, and for each line taken
_TAGS, _TAGS_A_LINE = 400_000, 200  # of one part
_TAGS_AT_ONCE = 100_000  # of a row or a string, and of what follows the last: held at once
_CHUNK = 1 << 16


_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError, ValueError,
)  # fmt: skip


def is_container(data: bytes) -> bool:
    """Whether it is a zip, as a workbook is, or the container of old and of encrypted ones."""
    return data.startswith((*_ZIP, _OLE))


def read_workbook(data: bytes, most_lines: int) -> FileRows:
    """The rows of the first visible sheet. Raises ImportRefused, naming what it is instead."""
    if data.startswith(_OLE):
        raise whole_file(_PASSWORD if _ENCRYPTED in data else _OLD)
    try:
        with _open(data) as archive:
            names = frozenset(archive.namelist())
            _check_kind(archive, names)
            _check_parts(archive, most_lines)
    except _UNREADABLE as error:
        raise whole_file(_BROKEN) from error
    return _read(data, most_lines, macros="xl/vbaProject.bin" in names)


def _open(data: bytes) -> zipfile.ZipFile:
    """The archive, after its directory was found to be small (APPNOTE.TXT 4.3.16).

    The record with that size must be the one that zipfile will believe.
    """
    end = _end(data)
    if end < 0 or data.startswith(_END_64, max(0, end - 20)):
        raise whole_file(_BROKEN)
    if int.from_bytes(data[end + 12 : end + 16], "little") > _DIRECTORY:
        raise whole_file(_TOO_MUCH)
    return zipfile.ZipFile(io.BytesIO(data))


def _end(data: bytes) -> int:
    """Where the zip's end record is, as zipfile looks for it; below 0 if there is none."""
    last = len(data) - 22
    if last >= 0 and data.startswith(_END, last) and data.endswith(b"\0\0"):
        return last
    return data.rfind(_END, max(0, len(data) - 66_000))


# --- what it is, and how much ------------------------------------------------------------------


def _check_kind(archive: zipfile.ZipFile, names: frozenset[str]) -> None:
    """Raises ImportRefused for a zip that is no workbook of Excel."""
    if "xl/workbook.xml" in names and "[Content_Types].xml" in names:
        return
    if "xl/workbook.bin" in names:
        raise whole_file(_refusal(".xlsb"))
    if any(name.endswith(".iwa") for name in names):
        raise whole_file(_refusal("Numbers(.numbers)"))
    if "mimetype" in names:
        with archive.open("mimetype") as file:
            if file.read(40).startswith(b"application/vnd.oasis.opendocument"):
                raise whole_file(_refusal("OpenDocument(.ods)"))
    raise whole_file(_ONLY_A_ZIP)


def _check_parts(archive: zipfile.ZipFile, most_lines: int) -> None:
    """Raises ImportRefused for a workbook that would take too much, or holds what none needs."""
    parts = archive.infolist()
    if any(part.flag_bits & 1 for part in parts):
        raise whole_file(_PASSWORD)
    if sum(part.file_size for part in parts) > _BYTES + most_lines * _BYTES_A_LINE:
        raise whole_file(_TOO_MUCH)
    if any(part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for part in parts):
        raise whole_file(_BROKEN)


class _CheckedArchive(zipfile.ZipFile):
    """The zip that openpyxl reads: each part is checked when it is first opened.

    Names say nothing: a workbook's own lists may name any part as its sheet, and a picture, which
    openpyxl never opens, may be of any kind.
    """

    def __init__(self, data: bytes, most_lines: int) -> None:
        super().__init__(io.BytesIO(data))
        self._most_lines = most_lines
        self._sound: set[str] = set()

    def open(self, name: str | zipfile.ZipInfo, *args: Any, **options: Any) -> IO[bytes]:
        """The part. Raises ImportRefused if it is no XML that may be parsed."""
        key = name if isinstance(name, str) else name.filename
        if key not in self._sound:
            with super().open(name) as file:
                _check_xml(_chunks(file), self._most_lines)
            self._sound.add(key)
        return super().open(name, *args, **options)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


_ENCODING = re.compile(rb"""<\?xml[^>]*encoding=["']([^"']*)["']""")
_ROW = re.compile(rb"<(?:\w+:)?(?:row|si)[\s/>]")  # a row, a shared string


def _check_xml(chunks: Iterator[bytes], most_lines: int) -> None:
    """Only UTF-8, without a document type or anything else that begins with <!, and few tags."""
    tags = at_once = 0
    last = b""
    for number, chunk in enumerate(chunks):
        declared = _ENCODING.search(chunk[:200]) if not number else None
        if declared and declared[1].lower() not in {b"utf-8", b"us-ascii", b"ascii"}:
            raise whole_file(_BROKEN)
        if b"<!" in last + chunk or b"\0" in chunk:
            raise whole_file(_BROKEN)
        last = chunk[-1:]
        tags += chunk.count(b"<")
        before, *rows = _ROW.split(chunk)
        held = [at_once + before.count(b"<"), *(row.count(b"<") for row in rows)]
        at_once = held[-1]
        if max(held) > _TAGS_AT_ONCE + most_lines or tags > _TAGS + most_lines * _TAGS_A_LINE:
            raise whole_file(_TOO_MUCH)


# --- rows and cells ---------------------------------------------------------------------------


def _book(data: bytes, most_lines: int) -> Any:
    """openpyxl's workbook, as `load_workbook` gives it, but from an archive that checks its parts."""
    from openpyxl.reader.excel import ExcelReader  # noqa: PLC0415 - slow, and seldom needed

    warnings.filterwarnings("ignore", module=r"openpyxl\.")  # of styles that it does not know
    try:
        reader = ExcelReader(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        reader.archive = _CheckedArchive(data, most_lines)
        reader.read()
    except ImportRefused:
        raise
    except Exception as error:
        # It raises whatever its classes do on a part that is not as they expect it.
        raise whole_file(_BROKEN) from error
    return reader.wb


def _read(data: bytes, most_lines: int, *, macros: bool) -> FileRows:
    book = _book(data, most_lines)
    sheet = next((one for one in book.worksheets if one.sheet_state == "visible"), None)
    if sheet is None:
        raise whole_file(_BROKEN)
    sheet.reset_dimensions()  # what a program wrote there may be wrong
    faults: list[LineFault] = []
    kind = "xlsm" if macros else "xlsx"
    note = Both("、マクロは読みません", ", macros are not read") if macros else Both("", "")
    return FileRows(
        Both(
            f"Excel ブック(.{kind}、シート「{sheet.title}」{note.ja})",
            f'Excel workbook (.{kind}, sheet "{sheet.title}"{note.en})',
        ),
        "UTF-8",
        _rows(sheet, most_lines, faults),
        faults,
    )


def _rows(sheet: Any, most_lines: int, faults: list[LineFault]) -> Iterator[Row]:
    filled = 0
    blank: object = None  # openpyxl fills a gap, be it of a million rows, with one and the same
    found = enumerate(sheet.iter_rows(max_col=_MOST_COLUMNS, max_row=_LAST_ROW), 1)
    while True:
        try:
            line, row = next(found)
            cells = [] if row is blank else _cells(sheet, line, row, faults)
        except StopIteration:
            return
        except Exception as error:
            # As in `_book`: the sheet is parsed while its rows are asked for.
            raise whole_file(_BROKEN) from error
        if not cells:
            blank = row
            continue
        filled += 1
        check_lines(filled, most_lines)
        yield line, cells


def _cells(sheet: Any, line: int, row: Sequence[Any], faults: list[LineFault]) -> list[str]:
    cells = []
    for cell in row:
        if cell.value is None:
            cells.append("")
        elif (fault := _fault(cell)) is not None:
            faults.append(LineFault(line, cell.column_letter, fault))
            cells.append("")
        else:
            cells.append(_text(cell, sheet.parent.epoch))
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _fault(cell: Any) -> Both | None:
    if cell.data_type == "e":
        return _no_value(str(cell.value))
    is_long = isinstance(cell.value, int | float) and abs(cell.value) > _EXACT
    return _DIGITS_LOST if is_long else None


# Formats of Japanese Excel that a file names by their number alone (ECMA-376 18.8.30, ja-jp).
_JAPANESE_DATES = {*range(27, 32), *range(34, 37), *range(50, 59)}
_JAPANESE_TIMES = {32, 33}
_LITERAL = re.compile(r'"[^"]*"|\\.')
_ZEROS = re.compile(r'(?:"([^"]*)")?(0{2,})')
_EXACT = 10**15  # Excel keeps 15 digits of a number


def _text(cell: Any, epoch: datetime) -> str:
    """The cell as a person would have typed it."""
    value = cell.value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return _number(cell, value, epoch)
    return _moment(value) if isinstance(value, date | time | timedelta) else str(value)


def _number(cell: Any, value: float, epoch: datetime) -> str:
    from openpyxl.utils.datetime import from_excel  # noqa: PLC0415 - as in `_book`

    if cell.style_array.numFmtId in _JAPANESE_DATES | _JAPANESE_TIMES:
        return _moment(from_excel(value, epoch))
    form = cell.number_format or ""
    if "%" in _LITERAL.sub("", form):
        return f"{_plain(round(Decimal(repr(value)) * 100, 10))}%"
    if (padded := _ZEROS.fullmatch(form)) and value == int(value) and value >= 0:
        return f"{padded[1] or ''}{int(value):0{len(padded[2])}}"
    return _plain(Decimal(repr(value)))


def _plain(number: Decimal) -> str:
    """Without an exponent, and without zeros behind the point."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _moment(value: date | time | timedelta | None) -> str:
    if isinstance(value, timedelta):
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")
    if isinstance(value, datetime):
        value = value.replace(microsecond=0) + timedelta(seconds=round(value.microsecond / 1e6))
        midnight = value.time() == time()
        return value.date().isoformat() if midnight else value.isoformat(" ")
    if isinstance(value, time):
        return value.isoformat("minutes" if not value.second else "seconds")
    return str(value or "")


_DIGITS_LOST = Both(
    "16桁以上の数です。Excel は15桁までしか覚えていません。セルの書式を「文字列」にして、書き直してください。",
    "It is a number of more than 15 digits, of which Excel keeps no more. Format the cell as text and "
    "write it again.",
)


def _no_value(text: str) -> Both:
    return Both(
        f"数式の結果が {text} です。数式を直すか、値を書いてください。",
        f"The formula gives {text}. Mend the formula, or write a value.",
    )


# --- sentences --------------------------------------------------------------------------------

_SAVE = Both(
    "Excel などで開き、.xlsx(Excel ブック)か CSV で保存し直してください。",
    "Open it in Excel or the like and save it as .xlsx (Excel workbook) or CSV.",
)


def _refusal(name: str) -> Both:
    return Both(
        f"{name} の形式は読めません。{_SAVE.ja}", f"Files of {name} are not read. {_SAVE.en}"
    )


_OLD = Both(
    f"古い形式の Excel ファイル(.xls)など、読めない形式です。{_SAVE.ja}",
    f"It is an old Excel file (.xls), or something else that is not read. {_SAVE.en}",
)
_PASSWORD = Both(
    "パスワードで保護されています。Excel で開き、「ファイル」→「情報」→「ブックの保護」でパスワードを"
    "外してから保存し直してください。",
    "It is protected by a password. Open it in Excel, remove the password under File, Info, "
    "Protect Workbook, and save it.",
)
_ONLY_A_ZIP = Both(
    "zip ファイルですが、Excel ブック(.xlsx)ではありません。中のファイルを取り出して、それを選んで"
    "ください。",
    "It is a zip file, but no Excel workbook (.xlsx). Take the file out of it and choose that.",
)
_BROKEN = Both(
    f"Excel ブック(.xlsx)として読めません。壊れているか、特別な形で保存されています。{_SAVE.ja}",
    f"It cannot be read as an Excel workbook (.xlsx): it is damaged, or saved in a special way. "
    f"{_SAVE.en}",
)
_TOO_MUCH = Both(
    "Excel ブックの中身が大きすぎます。必要な行だけを新しいブックか CSV に写してください。",
    "The workbook holds too much. Copy the lines that are needed into a new one, or into a CSV.",
)
