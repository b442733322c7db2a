"""PURE. The bytes of an uploaded file -> rows of text cells, and which kind of file it is.

CSV as Excel, Numbers and Google Sheets write it, and workbooks (app/imports/workbook.py). What
is something else is refused by its name, with what to do about it; a wrong guess would store
unreadable names.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.locale import Both
from app.people.table import LineFault
from app.refused import Code, Refused

MAX_BYTES = 100_000_000  # more is no team, and would be read into memory at once
MAX_LINES = 250_000  # an import holds about 8 KB a line until it is written
Row = tuple[int, list[str]]


class ImportRefused(Refused):
    """Nothing was written; `faults` lists everything that is wrong with the file."""

    def __init__(self, faults: Sequence[LineFault]) -> None:
        sentence = Both(
            f"直すところが{len(faults)}件あります。何も取り込んでいません。",
            f"{len(faults)} to mend. Nothing was imported.",
        )
        super().__init__(Code.UNUSABLE_FILE, sentence)
        self.faults = list(faults)


def whole_file(sentence: Both) -> ImportRefused:
    """The refusal of a file of which nothing can be read."""
    return ImportRefused([LineFault(0, "", sentence)])


@dataclass(frozen=True, slots=True)
class FileRows:
    """What a file is called, its encoding, and its rows with the line on which each begins.

    `rows` is read once; a line that cannot be read ends up in `faults` meanwhile.
    """

    kind: Both
    encoding: str
    rows: Iterator[Row]
    faults: list[LineFault]


def read_text_file(data: bytes, most_lines: int) -> FileRows:
    """The rows of a CSV file; its encoding and what parts its cells are found out.

    Raises ImportRefused for a file that is too long, or no text in a known encoding.
    """
    if data[:2] not in _UTF_16:  # of which other letters hold these bytes too
        check_lines(max(data.count(b"\n"), data.count(b"\r")), most_lines)
    text, encoding = _decode(data)
    check_lines(max(text.count("\n"), text.count("\r")), most_lines)
    said = _SEPARATOR_LINE.match(text)
    delimiter = said[1] if said else _delimiter(text)
    faults: list[LineFault] = []
    start = 2 if said else 1
    rows = _records(text[said.end() :] if said else text, delimiter, start, faults)
    part = _DELIMITERS[delimiter]
    kind = Both(f"CSV({encoding}、{part.ja}区切り)", f"CSV ({encoding}, cells parted by {part.en})")
    return FileRows(kind, encoding, rows, faults)


def check_lines(lines: int, most: int) -> None:
    """Raises ImportRefused for more lines than `most` beside the header."""
    if lines <= most + 1:
        return
    raise whole_file(
        Both(
            f"{lines:,}行あります。一度に取り込めるのは、この方法では{most:,}行までです。ファイルを"
            "分けるか、ページの代わりに `task-progress import`(25万行まで)を使ってください。",
            f"It has {lines:,} lines; at most {most:,} can be imported at once here. Split the "
            "file, or use `task-progress import` (250,000 lines) instead of the page.",
        )
    )


# --- text -> records --------------------------------------------------------------------------

_DELIMITERS = {
    ",": Both("コンマ", "commas"),
    ";": Both("セミコロン", "semicolons"),
    "\t": Both("タブ", "tabs"),
}
_SEPARATOR_LINE = re.compile(r'"?sep=([,;\t])"?(?:\r\n|\r|\n)', re.IGNORECASE)  # Excel's own
_QUOTED = re.compile(r'"[^"]*"')
_LONGEST_HEADER = 10_000  # characters in which the delimiter is looked for


def _delimiter(text: str) -> str:
    """What parts the cells of the first line that has any: the sign it has most of."""
    first = text.lstrip()[:_LONGEST_HEADER]
    line = re.split(r"[\r\n]", _QUOTED.sub("", first), maxsplit=1)[0]
    return max(_DELIMITERS, key=line.count)


def _records(text: str, delimiter: str, start: int, faults: list[LineFault]) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = start
    try:
        for record in reader:
            yield line, record
            line = reader.line_num + start
    except csv.Error:
        faults.append(LineFault(line, "", _BROKEN_QUOTES))


# --- bytes -> text ----------------------------------------------------------------------------

_UTF_16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_UTF_32 = (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")
_BOM = "\ufeff"
# cp932 lets bytes through that no Japanese text holds: C1 controls, private-use letters.
_NOT_CP932 = re.compile("[\x80-\xa0\ue000-\uf8ff]")


def _decode(data: bytes) -> tuple[str, str]:
    """The text and the name of its encoding. UTF-8 first: its bytes often decode as cp932 too.

    A second byte order mark, which a program puts before the first one, goes with it.
    """
    if not data.strip(b"\xef\xbb\xbf \r\n\t"):
        raise whole_file(EMPTY_FILE)
    if data.startswith(_UTF_32):
        raise _wrong_encoding("UTF-32")
    if utf_16 := _UTF_16.get(data[:2]):
        text = _try(data, utf_16)
        if text is None or "\0" in text:
            raise _wrong_encoding(None)
        return text.lstrip(_BOM), "UTF-16"
    if b"\0" in data:
        # UTF-16 holds one beside every ASCII letter; a few in a good text are strays.
        strays = data.count(b"\0") * 8 < len(data) and _try(data, "utf-8") is not None
        if not strays:
            raise _wrong_encoding(None if data.startswith(_BINARY) else "UTF-16")
        lines = enumerate(data.splitlines(), 1)
        raise ImportRefused([_nul(line, one) for line, one in lines if b"\0" in one])
    try:
        return data.decode("utf-8").lstrip(_BOM), "UTF-8"
    except UnicodeDecodeError:
        return _decode_japanese(data), "cp932"


_BINARY = (b"\x89PNG", b"%PDF", b"GIF8", b"\xff\xd8\xff", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")


def _nul(line: int, text: bytes) -> LineFault:
    sentence = Both(
        f"{text.index(0) + 1}バイト目に NUL(値が0のバイト)があります。取り除いてください。",
        f"Byte {text.index(0) + 1} is NUL (0). Remove it.",
    )
    return LineFault(line, "", sentence)


def _decode_japanese(data: bytes) -> str:
    text = _try(data, "cp932")
    if (text is None or _looks_like_euc(text)) and _try(data, "euc_jp") is not None:
        raise _wrong_encoding("EUC-JP")
    if text is None or _NOT_CP932.search(text) or _looks_western(text):
        raise _wrong_encoding(None)
    return text


# Kanji and kana in EUC-JP are pairs of bytes A1 to FE: in cp932 half-width katakana, their
# punctuation, and rare kanji. Text that people wrote in half-width katakana has its voicing marks
# behind letters that take them, small letters behind large ones, and little punctuation.
_KANA_RUN = re.compile("[\uff61-\uff9f]+")
_KANA = re.compile("[｡､･｢｣]?(?:(?:[ｳｶ-ﾄﾊ-ﾎ]ﾞ|[ﾊ-ﾎ]ﾟ|[ｱ-ﾝｦ])[ｧ-ｯｰ]*(?:[｡､･｢｣](?![｡､･]))?)*[｡､･｢｣]?")
_PUNCTUATION = re.compile("[｡､･｢｣]")


def _looks_like_euc(text: str) -> bool:
    """Whether what cp932 makes half-width katakana of is no such text."""
    runs = _KANA_RUN.findall(text)
    if not runs or any("\u3041" <= letter <= "\u30fe" for letter in text):
        return False  # the bytes of cp932's full-width kana are none of EUC-JP
    together = "".join(runs)
    unclosed = together.count("｢") != together.count("｣")
    crowded = len(_PUNCTUATION.findall(together)) * 4 > len(together)
    rare = any(letter >= "\u4e00" and letter < "\ua000" for letter in text)
    return unclosed or crowded or rare or not all(_KANA.fullmatch(run) for run in runs)


# An accented letter of a Latin or Mac encoding is in cp932 the first half of a kanji, whose second
# half is the letter behind it, or one half-width katakana; both in the middle of a Latin word.
_WIDE_RUN = re.compile(r"([A-Za-z]?)([^\x00-\x7f]+)([A-Za-z]?)")


def _looks_western(text: str) -> bool:
    """Whether half of what is not ASCII, or more, stands where a Latin letter would."""
    runs = _WIDE_RUN.findall(text)
    return sum(_is_accent(*run) for run in runs) * 2 >= len(runs)


def _is_accent(before: str, run: str, after: str) -> bool:
    if not (before or after):
        return False
    encoded = [letter.encode("cp932", "replace") for letter in run[:_LONGEST_RUN]]
    swallowed = all(
        len(one) == 2 and chr(one[1]).isascii() and one[1:].isalpha() for one in encoded
    )
    return swallowed or (len(run) == 1 and len(encoded[0]) == 1)


_LONGEST_RUN = 20


def _try(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _wrong_encoding(name: str | None) -> ImportRefused:
    ja = f"文字コードが {name} のようです" if name else "文字コードを判別できません"
    en = f"The encoding seems to be {name}" if name else "The encoding is not known"
    return whole_file(
        Both(
            f"{ja}。Excel ブック(.xlsx)のまま選ぶか、UTF-8 か cp932(Shift_JIS)の CSV で保存し直して"
            "ください。Excel では「名前を付けて保存」の「CSV UTF-8(コンマ区切り)」です。",
            f"{en}. Choose the Excel workbook (.xlsx) itself, or save the file as CSV in UTF-8 or "
            'cp932 (Shift_JIS): in Excel "CSV UTF-8 (comma delimited)" under "Save as".',
        )
    )


EMPTY_FILE = Both("ファイルが空です。", "The file is empty.")
_BROKEN_QUOTES = Both(
    '引用符 " の対応が崩れているか、長すぎる値があります。ここから先は読めません。',
    'The quotes " do not match, or a value is too long. Nothing can be read from here on.',
)
