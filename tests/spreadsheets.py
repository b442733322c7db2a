"""Files as Excel, Numbers and Google Sheets write them, byte by byte; no program of ours does it."""

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

Line = Sequence[str]
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def _delimited(lines: Iterable[Line], sign: str, end: str, *, ended: bool = True) -> str:
    def cell(text: str) -> str:
        quoted = any(one in text for one in (sign, '"', "\n", "\r"))
        return '"' + text.replace('"', '""') + '"' if quoted else text

    text = end.join(sign.join(map(cell, line)) for line in lines)
    return text + end if ended else text


def excel_csv_utf8(lines: Iterable[Line]) -> bytes:
    """Excel's "CSV UTF-8 (comma delimited)": a byte order mark, CRLF."""
    return b"\xef\xbb\xbf" + _delimited(lines, ",", "\r\n").encode()


def excel_csv(lines: Iterable[Line]) -> bytes:
    """Japanese Excel's "CSV (comma delimited)": cp932, CRLF."""
    return _delimited(lines, ",", "\r\n").encode("cp932")


def excel_unicode_text(lines: Iterable[Line]) -> bytes:
    """Excel's "Unicode Text": UTF-16 little endian with its mark, tabs, CRLF."""
    return b"\xff\xfe" + _delimited(lines, "\t", "\r\n").encode("utf-16-le")


def numbers_csv(lines: Iterable[Line]) -> bytes:
    """Numbers' CSV export: UTF-8 without a mark, LF."""
    return _delimited(lines, ",", "\n").encode()


def sheets_csv(lines: Iterable[Line]) -> bytes:
    """Google Sheets' CSV download: UTF-8 without a mark, CRLF, none at the end."""
    return _delimited(lines, ",", "\r\n", ended=False).encode()


# --- workbooks --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Number:
    """A cell that Excel stores as a number, with the format it is shown in (a code, or its id)."""

    value: float
    form: str | int = 0
    type: str = "n"  # b: a truth value, e: an error, str: what a formula gave

    def xml(self, styles: list[str | int]) -> str:
        """What stands in the cell's element, and its attributes."""
        if self.form not in styles:
            styles.append(self.form)
        return f' s="{styles.index(self.form)}" t="{self.type}"><v>{self.value!r}</v>'


Cell = str | Number | None


def xlsx(
    lines: Sequence[Sequence[Cell]],
    *,
    sheet: str = "Sheet1",
    inline: bool = False,
    epoch_1904: bool = False,
    more: Mapping[str, bytes] | None = None,
    sheet_xml: bytes | None = None,
    part: str = "worksheets/sheet1.xml",
) -> bytes:
    """A workbook with its strings shared, as Excel does it, or `inline`, as other programs do.

    `part`: where the sheet is; each program says that itself.
    """
    strings: dict[str, int] = {}
    styles: list[str | int] = [0]
    rows = "".join(
        f'<row r="{number}">{_cells(number, line, strings, styles, inline=inline)}</row>'
        for number, line in enumerate(lines, 1)
        if any(cell is not None for cell in line)
    )
    parts = {
        "[Content_Types].xml": _content_types(part, shared=not inline),
        "_rels/.rels": _relations(("officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": (
            f'<workbook xmlns="{MAIN}" xmlns:r="{_OFFICE}">'
            f'<workbookPr date1904="{int(epoch_1904)}"/>'
            f'<sheets><sheet name="{escape(sheet)}" sheetId="1" r:id="rId1"/></sheets></workbook>'
        ),
        "xl/_rels/workbook.xml.rels": _relations(
            ("worksheet", part),
            ("styles", "styles.xml"),
            *([] if inline else [("sharedStrings", "sharedStrings.xml")]),
        ),
        "xl/styles.xml": _styles(styles),
        f"xl/{part}": (
            f'<worksheet xmlns="{MAIN}"><dimension ref="A1"/><sheetData>{rows}</sheetData></worksheet>'
        ),
    }
    if not inline:
        shared = "".join(f"<si>{one}</si>" for one in strings)
        parts["xl/sharedStrings.xml"] = f'<sst xmlns="{MAIN}">{shared}</sst>'
    found = {name: _DECLARATION + text.encode() for name, text in parts.items()}
    if sheet_xml is not None:
        found[f"xl/{part}"] = sheet_xml
    return zipped(found | dict(more or {}))


def zipped(parts: Mapping[str, bytes]) -> bytes:
    """A zip of these."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return file.getvalue()


_DECLARATION = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\r\n'


def letters(number: int) -> str:
    """The name of a column: A, Z, AA."""
    more, last = divmod(number - 1, 26)
    return (letters(more) if more else "") + chr(65 + last)


def _cells(
    row: int,
    line: Sequence[Cell],
    strings: dict[str, int],
    styles: list[str | int],
    *,
    inline: bool,
) -> str:
    found = []
    for number, cell in enumerate(line, 1):
        place = f'<c r="{letters(number)}{row}"'
        if cell is None or cell == "":
            continue
        if isinstance(cell, Number):
            found.append(f"{place}{cell.xml(styles)}</c>")
        elif inline:
            found.append(f'{place} t="inlineStr"><is><t>{escape(cell)}</t></is></c>')
        else:
            # Japanese Excel stores beside what was typed how it is read; that is no part of it.
            reading = '<rPh sb="0" eb="1"><t>ヨミ</t></rPh><phoneticPr fontId="1"/>'
            text = f'<t xml:space="preserve">{escape(cell)}</t>{reading}'
            shared = strings.setdefault(text, len(strings))
            found.append(f'{place} t="s"><v>{shared}</v></c>')
    return "".join(found)


def _styles(forms: Sequence[str | int]) -> str:
    codes = {form: 164 + n for n, form in enumerate(f for f in forms if isinstance(f, str))}
    named = "".join(
        f'<numFmt numFmtId="{number}" formatCode="{escape(code, {chr(34): "&quot;"})}"/>'
        for code, number in codes.items()
    )
    formats = "".join(
        f'<xf numFmtId="{codes[f] if isinstance(f, str) else f}" fontId="0" fillId="0" '
        f'borderId="0" xfId="0" applyNumberFormat="1"/>'
        for f in forms
    )
    return (
        f'<styleSheet xmlns="{MAIN}"><numFmts count="{len(codes)}">{named}</numFmts>'
        '<fonts count="1"><font><sz val="11"/><name val="游ゴシック"/></font></fonts>'
        '<fills count="1"><fill><patternFill patternType="none"/></fill></fills>'
        '<borders count="1"><border/></borders>'
        '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
        f'<cellXfs count="{len(forms)}">{formats}</cellXfs></styleSheet>'
    )


def _content_types(sheet: str, *, shared: bool) -> str:
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {"workbook.xml": "sheet.main", "styles.xml": "styles", sheet: "worksheet"}
    if shared:
        parts["sharedStrings.xml"] = "sharedStrings"
    overrides = "".join(
        f'<Override PartName="/xl/{name}" ContentType="{kind}.{what}+xml"/>'
        for name, what in parts.items()
    )
    return (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>'
    )


def _relations(*targets: tuple[str, str]) -> str:
    found = "".join(
        f'<Relationship Id="rId{number}" Type="{_OFFICE}/{what}" Target="{target}"/>'
        for number, (what, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{found}</Relationships>'
