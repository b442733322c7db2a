"""PURE. A file as bytes -> rows of cells by column, or the faults of the whole file.

Headings are taken in Japanese and English and in any order; columns that need not be there may
be missing, empty columns and rows at the end are passed over. Cells stay the text they are,
`=cmd()` included; `export_cell` makes them harmless on the way out to a spreadsheet.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest

from app.imports.file_rows import (
    EMPTY_FILE,
    MAX_BYTES,
    MAX_LINES,
    FileRows,
    ImportRefused,
    Row,
    check_lines,
    read_text_file,
    whole_file,
)
from app.imports.workbook import is_container, read_workbook
from app.locale import Both, counted
from app.people.columns import FILES, FileKind
from app.people.table import LineFault, Table, TableRow
from app.util.dates_and_numbers import squeezed
from app.util.parse import shown, similar

# Full-width signs too: Excel in Japanese and LibreOffice take them for what they look like.
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n", "\0")
_MOST_COLUMNS = 100  # of a header; more is no file of ours
_SHOWN = 20  # columns named in a message
_BLANKS = " \u3000"


def read_table(
    data: bytes, what: str, *, most_lines: int = MAX_LINES, skip_unknown: bool = False
) -> Table:
    """The rows of a file of `what` (a key of FILES), its cells by the keys of their columns.

    With `skip_unknown` columns that are none of these are passed over, and named in the table.
    Lines of the wrong length end up in `faults`. Raises ImportRefused for a file that cannot be
    read at all: its kind, its size, its header.
    """
    file = _rows(data, most_lines)
    rows = ((line, [cell.strip(_BLANKS) for cell in cells]) for line, cells in file.rows)
    filled = ((line, cells) for line, cells in rows if any(cells))
    header = next(filled, None)
    if header is None:
        raise whole_file(EMPTY_FILE) if not file.faults else ImportRefused(file.faults)
    keys = [FILES[what].heading(cell) for cell in header[1][:_MOST_COLUMNS]]
    body = list(filled)
    check_lines(len(body), most_lines)
    skipped = _unknown(header, keys, body)
    _check_header(FILES[what], file.kind, header, keys, [] if skip_unknown else skipped)
    table = Table(frozenset(filter(None, keys)), file.kind, file.encoding, skipped, [], file.faults)
    for row in body:
        _add(table, keys, row)
    return table


def _rows(data: bytes, most_lines: int) -> FileRows:
    if len(data) > MAX_BYTES:
        raise whole_file(_TOO_BIG)
    return (read_workbook if is_container(data) else read_text_file)(data, most_lines)


def export_cell(value: object) -> str:
    """`value` for a CSV that a spreadsheet may open: what would be a formula gets a quote before.

    Source: OWASP ASVS 5.0, 1.2.10.
    """
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _add(table: Table, keys: Sequence[str | None], row: Row) -> None:
    """A row may lack cells at its end: Excel leaves them out where they are empty."""
    line, cells = row
    if not any(cells[len(keys) :]):
        named = zip_longest(keys, cells[: len(keys)], fillvalue="")
        table.rows.append(TableRow(line, {key: cell for key, cell in named if key}))
        return
    sentence = Both(
        f"列が{len(cells)}個あります。{len(keys)}個にしてください"
        '(区切り文字を含む値は "…" で囲みます)。',
        f"It has {counted(len(cells), 'cell')}; make it {len(keys)} "
        '(put a value that holds a separator in "…").',
    )
    table.faults.append(LineFault(line, "", sentence))


# --- the header -------------------------------------------------------------------------------


def _unknown(header: Row, keys: Sequence[str | None], body: Sequence[Row]) -> list[str]:
    """The headings that are none of ours; one without a name only where its cells hold something."""
    widest = max((len(cells) for _, cells in body), default=0)
    found = []
    for number, key in enumerate(keys):
        heading = header[1][number]
        if key is None and (heading or (number < widest and _is_filled(body, number))):
            found.append(shown(heading) or f"({number + 1})")
    return found


def _is_filled(body: Sequence[Row], number: int) -> bool:
    return any(number < len(cells) and cells[number] for _, cells in body)


def _check_header(
    kind: FileKind, found_as: Both, header: Row, keys: Sequence[str | None], unknown: Sequence[str]
) -> None:
    times_of = Counter(key for key in keys if key)
    twice = sorted(key for key, times in times_of.items() if times > 1)
    missing = [one.key for one in kind.columns if one.needed and one.key not in times_of]
    if not (twice or missing or unknown):
        return
    parts = [
        (twice, "重複した列", "Columns given twice"),
        (missing, "足りない列", "Missing columns"),
        ([_with_near(kind, name) for name in unknown[:_SHOWN]], "知らない列", "Unknown columns"),
    ]
    said = [(", ".join(names), ja, en) for names, ja, en in parts if names]
    skip = _SKIP if unknown and not (twice or missing) else Both("", "")
    expected = ",".join(one.key if one.needed else f"[{one.key}]" for one in kind.columns)
    names = "、".join(one.name.ja for one in kind.columns if one.needed)
    sentence = Both(
        f"{found_as.ja}として読みました。"
        + "".join(f"{ja}: {names}。" for names, ja, _ in said)
        + f"{skip.ja}見出しは日本語({names} など)でも英語でもよく、順番は自由です。[ ] の列は"
        f"なくても構いません: {expected}",
        f"Read as {found_as.en}. "
        + " ".join(f"{en}: {names}." for names, _, en in said)
        + f" {skip.en}Headings may be Japanese or English, in any order; columns in [ ] may be "
        f"left out: {expected}",
    )
    raise ImportRefused([LineFault(header[0], "", sentence)])


def _with_near(kind: FileKind, heading: str) -> str:
    """The heading, and which one it was probably meant to be."""
    headings = [name for one in kind.columns for name in (one.key, *one.name)]
    close = similar(heading, headings)
    return f"{heading} (→ {close[0]}?)" if close and squeezed(heading) else heading


_SKIP = Both(
    "読み飛ばしてよければ、ページでは「知らない列は読み飛ばす」を選び、コマンドでは --skip-unknown を"
    "付けてください。",
    'To pass over them, choose "Pass over unknown columns" on the page, or add --skip-unknown to '
    "the command. ",
)
_TOO_BIG = Both(
    "ファイルが大きすぎます(100 MB まで)。分けて取り込んでください。",
    "The file is too large (at most 100 MB). Import it in parts.",
)
