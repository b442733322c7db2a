"""PURE. A CSV file as bytes -> rows with their line numbers, or the faults of the whole file.

Read: UTF-8 with or without BOM, else cp932 (what Japanese Excel writes). Everything else is
refused with advice: a wrong guess would store unreadable names. Cells stay the text they are,
`=cmd()` included; `export_cell` makes them harmless on the way out to a spreadsheet.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence

from app.locale import Both
from app.people.table import LineFault, Table, TableRow
from app.refused import Code, Refused
from app.util.parse import shown

MAX_BYTES = 100_000_000  # more is no team, and would be read into memory at once
MAX_LINES = 250_000  # an import holds about 8 KB a line until it is written
_BOMS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_HALF_WIDTH_KANA = re.compile("[\uff61-\uff9f]")
# cp932 lets bytes through that no Japanese text holds: C1 controls, private-use letters.
_NOT_CP932 = re.compile("[\x80-\xa0\ue000-\uf8ff]")
# Full-width signs too: Excel in Japanese and LibreOffice take them for what they look like.
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n", "\0")
_MOST_COLUMNS = 100  # of a header; more is no file of ours
_SHOWN = 20  # columns named in a message


class ImportRefused(Refused):
    """Nothing was written; `faults` lists everything that is wrong with the file."""

    def __init__(self, faults: Sequence[LineFault]) -> None:
        sentence = Both(
            f"直すところが{len(faults)}件あります。何も取り込んでいません。",
            f"{len(faults)} to mend. Nothing was imported.",
        )
        super().__init__(Code.UNUSABLE_FILE, sentence)
        self.faults = list(faults)


def read_table(data: bytes, header: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """The rows of a comma-separated file whose columns are `header`, in any order.

    It may have the `optional` columns besides; a row has cells for those that there are.

    Lines of the wrong length end up in `faults`. Raises ImportRefused for a file that cannot
    be read at all: its encoding, its delimiter, its header.
    """
    check_size(data, MAX_LINES)
    text, encoding = _decode(data)
    table = Table(encoding)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] | None = None
    line = 1
    try:
        for record in reader:
            if columns is None:
                columns = _columns(record, header, optional)
            elif any(record):
                _add(table, line, columns, record)
            line = reader.line_num + 1
    except csv.Error:
        table.faults.append(LineFault(line, "", _BROKEN_QUOTES))
    if columns is None:
        raise _whole_file(_EMPTY)
    return table


def check_size(data: bytes, most_lines: int) -> None:
    """Raises ImportRefused for more than MAX_BYTES or `most_lines`, before anything is read."""
    if len(data) > MAX_BYTES:
        raise _whole_file(_TOO_BIG)
    ends = max(data.count(b"\n"), data.count(b"\r"))
    if ends > most_lines + 1:  # with the header
        raise _whole_file(_too_many_lines(ends, most_lines))


def export_cell(value: object) -> str:
    """`value` for a CSV that a spreadsheet may open: what would be a formula gets a quote before.

    Source: OWASP ASVS 5.0, 1.2.10.
    """
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _add(table: Table, line: int, columns: list[str], record: list[str]) -> None:
    if len(record) == len(columns):
        cells = {name: cell.strip(" \u3000") for name, cell in zip(columns, record, strict=True)}
        table.rows.append(TableRow(line, cells))
        return
    sentence = Both(
        f"列が{len(record)}個あります。{len(columns)}個にしてください"
        '(コンマを含む値は "…" で囲みます)。',
        f"It has {len(record)} cells; make it {len(columns)} "
        '(put a value that holds a comma in "…").',
    )
    table.faults.append(LineFault(line, "", sentence))


def _columns(record: list[str], header: Sequence[str], optional: Sequence[str]) -> list[str]:
    found = [name.strip().lower() for name in record[:_MOST_COLUMNS]]
    also = [name for name in optional if name in found]
    if sorted(found) == sorted([*header, *also]):
        return found
    why = _header_fault(found, [*header, *also])
    expected = ",".join(header) + "".join(f",[{name}]" for name in optional)
    raise ImportRefused(
        [
            LineFault(
                1,
                "",
                Both(
                    f"{why.ja}1行目は次のとおりにしてください(順番は自由です): {expected}",
                    f"{why.en} The first line must be (in any order): {expected}",
                ),
            )
        ]
    )


def _header_fault(found: list[str], header: Sequence[str]) -> Both:
    if len(found) == 1 and any(sign in found[0] for sign in ";\t"):
        return Both(
            "区切り文字がコンマではありません(; やタブは使えません)。",
            "The cells are not separated by commas (; and TAB are not taken).",
        )
    counted = Counter(found)
    twice = sorted(shown(name) for name, times in counted.items() if name and times > 1)[:_SHOWN]
    missing = [name for name in header if name not in found]
    unknown = [shown(name) or "(空)" for name in counted if name not in header][:_SHOWN]
    parts = [
        Both(f"重複した列: {', '.join(twice)}。", f"Columns given twice: {', '.join(twice)}."),
        Both(f"足りない列: {', '.join(missing)}。", f"Missing columns: {', '.join(missing)}."),
        Both(f"知らない列: {', '.join(unknown)}。", f"Unknown columns: {', '.join(unknown)}."),
    ]
    said = [part for part, names in zip(parts, (twice, missing, unknown), strict=True) if names]
    return Both("".join(part.ja for part in said), " ".join(part.en for part in said))


# --- bytes -> text ----------------------------------------------------------------------------


def _decode(data: bytes) -> tuple[str, str]:
    """The text and the name of its encoding. UTF-8 first: its bytes often decode as cp932 too."""
    if not data.strip(b"\xef\xbb\xbf \r\n\t"):
        raise _whole_file(_EMPTY)
    for bom, name in _BOMS:
        if data.startswith(bom):
            raise _wrong_encoding(name)
    if b"\0" in data:
        # UTF-16 holds one beside every ASCII letter; a few in a good text are strays.
        strays = data.count(b"\0") * 8 < len(data) and _try(data, "utf-8") is not None
        if not strays:
            raise _wrong_encoding("UTF-16")
        lines = enumerate(data.splitlines(), 1)
        raise ImportRefused([_nul(line, one) for line, one in lines if b"\0" in one])
    try:
        return data.decode("utf-8-sig"), "UTF-8"
    except UnicodeDecodeError:
        return _decode_japanese(data), "cp932"


def _nul(line: int, text: bytes) -> LineFault:
    sentence = Both(
        f"{text.index(0) + 1}バイト目に NUL(値が0のバイト)があります。取り除いてください。",
        f"Byte {text.index(0) + 1} is NUL (0). Remove it.",
    )
    return LineFault(line, "", sentence)


def _decode_japanese(data: bytes) -> str:
    text = _try(data, "cp932")
    # Kanji in EUC-JP are half-width katakana in cp932; real cp932 text does not decode as EUC-JP.
    mojibake = text is None or _HALF_WIDTH_KANA.search(text)
    if mojibake and _try(data, "euc_jp") is not None:
        raise _wrong_encoding("EUC-JP")
    if text is None or _NOT_CP932.search(text):
        raise _wrong_encoding(None)
    return text


def _try(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _wrong_encoding(name: str | None) -> ImportRefused:
    ja = f"文字コードが {name} のようです" if name else "文字コードを判別できません"
    en = f"The encoding seems to be {name}" if name else "The encoding is not known"
    return _whole_file(
        Both(
            f"{ja}。UTF-8 か cp932(Shift_JIS)で保存し直してください。"
            "Excel では「名前を付けて保存」の「CSV UTF-8(コンマ区切り)」を選びます。",
            f"{en}. Save the file as UTF-8 or cp932 (Shift_JIS); "
            'in Excel choose "CSV UTF-8 (comma delimited)" under "Save as".',
        )
    )


def _whole_file(sentence: Both) -> ImportRefused:
    return ImportRefused([LineFault(0, "", sentence)])


_EMPTY = Both("ファイルが空です。", "The file is empty.")
_TOO_BIG = Both(
    "ファイルが大きすぎます(100 MB まで)。分けて取り込んでください。",
    "The file is too large (at most 100 MB). Import it in parts.",
)


def _too_many_lines(lines: int, most: int) -> Both:
    return Both(
        f"{lines:,}行あります。一度に取り込めるのは、この方法では{most:,}行までです。ファイルを分けるか、"
        "ページの代わりに `task-progress import`(25万行まで)を使ってください。",
        f"It has {lines:,} lines; at most {most:,} can be imported at once here. Split the file, or "
        "use `task-progress import` (250,000 lines) instead of the page.",
    )


_BROKEN_QUOTES = Both(
    '引用符 " の対応が崩れているか、長すぎる値があります。ここから先は読めません。',
    'The quotes " do not match, or a value is too long. Nothing can be read from here on.',
)
