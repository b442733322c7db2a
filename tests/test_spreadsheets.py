"""Files as Excel, Numbers and Google Sheets save them: read, or refused by name and reason."""

import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.imports.file_rows import ImportRefused
from app.imports.file_table import read_table
from app.locale import Both
from app.people import file_records
from app.people.columns import FILES, HEADERS
from app.people.table import Table
from app.util.dates_and_numbers import squeezed
from tests import spreadsheets
from tests.spreadsheets import MAIN, Cell, Number, xlsx, zipped

ENGLISH = ("ref", "title", "assignee_email", "start_on")
JAPANESE = ("番号", "題名", "担当者", "開始日")
LINES = (
    ("T-001", '髙橋①の件, "急ぎ"', "", "2026/11/24"),
    ("T-002", "見積り; 改訂", "", "2026/1/4"),
)
WRITERS: Mapping[str, Callable[..., bytes]] = {
    "Excel, CSV UTF-8": spreadsheets.excel_csv_utf8,
    "Excel, CSV": spreadsheets.excel_csv,
    "Excel, Unicode text": spreadsheets.excel_unicode_text,
    "Numbers, CSV": spreadsheets.numbers_csv,
    "Google Sheets, CSV": spreadsheets.sheets_csv,
    "Excel, workbook": xlsx,
    "other workbook": lambda lines: xlsx(lines, inline=True),
}


def tasks(data: bytes, **options: bool) -> tuple[Table, list[file_records.TaskRecord]]:
    table = read_table(data, "tasks", **options)
    return table, file_records.tasks(table)


def refusal(data: bytes, most_lines: int = 1_000) -> Both:
    with pytest.raises(ImportRefused) as refused:
        read_table(data, "tasks", most_lines=most_lines)
    return refused.value.faults[0].sentence


@pytest.mark.parametrize("header", [ENGLISH, JAPANESE], ids=["English", "Japanese"])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_of_every_program_is_read_the_same(writer: str, header: tuple[str, ...]) -> None:
    table, found = tasks(WRITERS[writer]((header, *LINES)))
    assert table.faults == []
    assert [(one.ref, one.title, str(one.start_on)) for one in found] == [
        ("T-001", '髙橋①の件, "急ぎ"', "2026-11-24"),
        ("T-002", "見積り; 改訂", "2026-01-04"),
    ]


@pytest.mark.parametrize(
    ("writer", "kind"),
    [
        ("Excel, CSV UTF-8", "CSV(UTF-8、コンマ区切り)"),
        ("Excel, CSV", "CSV(cp932、コンマ区切り)"),
        ("Excel, Unicode text", "CSV(UTF-16、タブ区切り)"),
        ("Excel, workbook", "Excel ブック(.xlsx、シート「Sheet1」)"),
    ],
)
def test_it_is_said_which_kind_of_file_it_was(writer: str, kind: str) -> None:
    assert tasks(WRITERS[writer]((ENGLISH, *LINES)))[0].kind.ja == kind


# --- headings, columns, separators --------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "ref,title,assignee_email",
        "REF,Title,Assignee_Email",
        "ｒｅｆ，ｔｉｔｌｅ".replace("，", ",") + ",assignee email",
        "番号,題名,担当者",
        " 番号 ,　題名　,担当者のメールアドレス",
        "タスク番号,タスク名,担当",
        "ref,題名,Assignee",
        "﻿ref,title,assignee_email",
    ],
)
def test_headings_are_taken_in_both_languages_and_however_wide(header: str) -> None:
    assert tasks(f"{header}\nT-1,A,\n".encode("utf-8-sig"))[1][0].ref == "T-1"


def test_headings_may_stand_in_any_order() -> None:
    assert tasks("担当者,題名,番号\n,A,T-1\n".encode())[1][0].title == "A"


def test_no_heading_means_two_columns() -> None:
    for kind in FILES.values():
        headings = [{squeezed(x) for x in (one.key, *one.name, *one.also)} for one in kind.columns]
        assert sum(map(len, headings)) == len(set.union(*headings)), kind.what


@pytest.mark.parametrize("sign", [",", ";", "\t"])
@pytest.mark.parametrize("said", [False, True])
def test_commas_semicolons_and_tabs_are_taken(sign: str, said: bool) -> None:
    lines = [f"sep={sign}"] * said + [sign.join(ENGLISH), sign.join(("T-1", '"A,B;C"', "", "x"))]
    table, (task,) = tasks("\r\n".join(lines).encode())
    assert task.title == "A,B;C"
    assert [(one.line, one.column) for one in table.faults] == [(2 + said, "start_on")]


def test_empty_columns_and_rows_at_the_end_are_passed_over() -> None:
    data = "ref,title,assignee_email,,\nT-1,A,,,\n,,,,\nT-2,B,,,\n,,,,\n　,,,,\n".encode()
    table, found = tasks(data)
    assert [(one.line, one.ref) for one in found] == [(2, "T-1"), (4, "T-2")]
    assert (table.faults, table.skipped) == ([], [])


def test_empty_cells_that_excel_leaves_out_at_the_end_of_a_line_are_empty() -> None:
    table, found = tasks(b"ref,title,assignee_email,due_on,status\nT-1,A,a@example.jp\n")
    assert (table.faults, found[0].due_on, found[0].status) == ([], None, "open")


def test_ragged_lines_are_told_by_line_and_blank_ones_passed_over() -> None:
    table, found = tasks(b'ref,title,assignee_email\nT-1,A,B,C\n\n,,\n"T\n2",B,\nT-3\n')
    # In line 5 there is a line break in a ref; what line 7 lacks is needed.
    assert [(one.line, one.column) for one in table.faults] == [(2, ""), (5, "ref"), (7, "title")]
    assert [one.line for one in found] == [5, 7]


def test_a_quote_that_never_ends_is_told() -> None:
    data = b'ref,title,assignee_email\nT-1,A,\nT-2,"B,\n'
    assert [one.line for one in read_table(data, "tasks").faults] == [3]


def test_only_what_is_needed_must_be_there() -> None:
    table = read_table("名前,メールアドレス\n佐藤,sato@example.jp\n".encode(), "members")
    (member,) = file_records.members(table, allow_localhost=False)
    assert (table.faults, member.settings, member.role) == ([], {}, "member")
    needed = {what: [one.key for one in FILES[what].columns if one.needed] for what in FILES}
    assert needed["members"] == ["email", "name"]
    assert needed["tasks"] == ["ref", "title", "assignee_email"]


@pytest.mark.parametrize(
    ("header", "ja", "en"),
    [
        ("ref,title", "足りない列: assignee_email", "Missing columns: assignee_email"),
        ("ref,title,番号,担当者", "重複した列: ref", "given twice: ref"),
        ("ref,titel,担当者", "titel (→ title?)", "titel (→ title?)"),
        ("ref,title,担当者,メモ", "知らない列: メモ", "--skip-unknown"),
    ],
)
def test_a_wrong_header_is_refused_with_the_expected_one(header: str, ja: str, en: str) -> None:
    sentence = refusal(f"{header}\n".encode())
    expected = "ref,title,assignee_email,[status],[start_on],[due_on],[report_every],[assigned_on]"
    assert ja in sentence.ja
    assert en in sentence.en
    assert sentence.ja.endswith(expected)
    assert sentence.en.endswith(expected)


def test_unknown_columns_are_passed_over_with_a_word_alone_and_named() -> None:
    data = "メモ,ref,title,担当者,\nx,T-1,A,,y\n".encode()
    assert "メモ, (5)" in refusal(data).ja
    table, found = tasks(data, skip_unknown=True)
    assert (table.skipped, found[0].ref) == (["メモ", "(5)"], "T-1")


# --- encodings ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ｻﾄｳ ﾊﾅｺ", "ﾀﾅｶ", "ｽｽﾞｷ･ｲﾁﾛｳ", "ﾊﾟｰﾄ", "｢ｷｬﾘｱ｣ ｻﾎﾟｰﾄ"])
def test_half_width_kana_alone_are_cp932(name: str) -> None:
    data = f"ref,title,assignee_email\r\nT-1,{name},\r\n".encode("cp932")
    table, found = tasks(data)
    assert (table.encoding, found[0].title) == ("cp932", name)


@pytest.mark.parametrize("name", ["佐藤", "鈴木 一郎", "ひらがな", "カタカナ", "東京タワーの件"])
def test_euc_jp_is_named(name: str) -> None:
    assert "EUC-JP" in refusal(f"ref,title,assignee_email\r\nT-1,{name},\r\n".encode("euc_jp")).en


@pytest.mark.parametrize("encoding", ["cp1252", "iso8859-15", "mac_roman"])
@pytest.mark.parametrize(
    "name", ["Hélène Müller", "Lefèvre", "Jörg Weiß", "Señor Ibáñez", "Zoë", "Bjørn Åkesson"]
)
def test_latin_and_mac_text_is_refused_and_never_turned_into_kanji(
    name: str, encoding: str
) -> None:
    data = f"ref,title,assignee_email\r\nT-1,{name},\r\n".encode(encoding)
    assert "文字コード" in refusal(data).ja


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-32"])
def test_other_encodings_are_refused_with_advice(encoding: str) -> None:
    sentence = refusal("ref,title\r\nT-1,佐藤さんの件\r\n".encode(encoding))
    assert "CSV UTF-8" in sentence.ja
    assert ".xlsx" in sentence.en


def test_utf_16_is_read_in_both_byte_orders() -> None:
    text = "ref\ttitle\tassignee_email\r\nT-1\t上の件\t\r\n"
    assert tasks(text.encode("utf-16"))[1][0].title == "上の件"
    assert tasks(b"\xfe\xff" + text.encode("utf-16-be"))[1][0].title == "上の件"


def test_a_stray_nul_is_told_with_its_line() -> None:
    with pytest.raises(ImportRefused) as refused:
        read_table("ref,title\nT-1,山\0口の件\nT-2,報告\n".encode(), "tasks")
    (fault,) = refused.value.faults
    assert (fault.line, "NUL" in fault.sentence.ja) == (2, True)


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\r\n \r\n", b",,,\r\n,,,\r\n"])
def test_an_empty_file_is_refused(data: bytes) -> None:
    assert "空" in refusal(data).ja


@given(st.binary(max_size=200))
def test_whatever_the_bytes_the_answer_is_rows_or_a_refusal(data: bytes) -> None:
    for start in (b"ref,title,assignee_email\n", b"", b"PK\x03\x04", b"\xff\xfe"):
        with suppress(ImportRefused):
            read_table(start + data, "tasks")


# --- workbooks: what a cell becomes --------------------------------------------------------------


def cell(value: Number, column: str = "title", *, epoch_1904: bool = False) -> str:
    """What a cell under this heading becomes."""
    what = next(what for what, header in HEADERS.items() if column in header)
    needed = [one.key for one in FILES[what].columns if one.needed and one.key != column]
    lines: list[list[Cell]] = [[*needed, column], [*("x" for _ in needed), value]]
    return read_table(xlsx(lines, epoch_1904=epoch_1904), what).rows[0].cells[column]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Number(46350, 14), "2026-11-24"),
        (Number(46350, "yyyy/m/d"), "2026-11-24"),
        (Number(46350, 'yyyy"年"m"月"d"日"'), "2026-11-24"),
        (Number(46350, '[$-411]ggge"年"m"月"d"日"'), "2026-11-24"),
        (Number(46350, 31), "2026-11-24"),  # Japanese Excel's own, by its number alone
        (Number(46350, 57), "2026-11-24"),
        (Number(46350.375, "yyyy/m/d h:mm"), "2026-11-24 09:00:00"),
        (Number(46350), "46350"),
        (Number(0.375, 20), "09:00"),
        (Number(0.375, "h:mm:ss"), "09:00"),
        (Number(0.375, 32), "09:00"),
        (Number(0.375, "[h]:mm"), "9:00"),
        (Number(0.8, 9), "80%"),
        (Number(1, 9), "100%"),
        (Number(0.07, "0.0%"), "7%"),
        (Number(1), "1"),
        (Number(80.0), "80"),
        (Number(0.1 + 0.2), "0.30000000000000004"),
        (Number(123456789012345), "123456789012345"),
        (Number(1e15), "1000000000000000"),
        (Number(1, "000"), "001"),
        (Number(7, '"T-"000'), "T-007"),
        (Number(1, type="b"), "TRUE"),
        (Number(0, type="b"), "FALSE"),
    ],
)
def test_a_cell_becomes_what_a_person_sees_in_it(value: Number, text: str) -> None:
    assert cell(value) == text


def test_the_dates_of_an_old_mac_are_four_years_apart() -> None:
    assert cell(Number(46350 - 1462, 14), epoch_1904=True) == "2026-11-24"
    assert cell(Number(46350 - 1462, 31), epoch_1904=True) == "2026-11-24"


def test_a_serial_a_percentage_and_a_truth_value_are_read_by_their_columns() -> None:
    lines: list[list[Cell]] = [
        ["task_ref", "reporter_email", "reported_on", "percent", "status", "text"],
        [Number(1, "000"), "a@example.jp", Number(46350), Number(0.8, 9), "順調", ""],
        [Number(1), "a@example.jp", Number(46350, 14), Number(80), "完了", ""],
    ]
    table = read_table(xlsx(lines), "reports")
    first, second = file_records.reports(table)
    assert (first.task_ref, str(first.reported_on), first.percent) == ("001", "2026-11-24", 80)
    assert (second.task_ref, str(second.reported_on), second.percent) == ("1", "2026-11-24", 80)
    assert table.hidden == [(2, "reported_on", "46350")]
    assert table.read[2]["reported_on"] == "2026-11-24"


def test_a_formula_that_fails_is_told_by_line_and_column() -> None:
    sheet = (
        f'<worksheet xmlns="{MAIN}"><sheetData><row r="1"><c r="A1" t="str"><v>ref</v></c>'
        '<c r="B1" t="str"><v>title</v></c><c r="C1" t="str"><v>assignee_email</v></c></row>'
        '<row r="2"><c r="A2" t="str"><f>B2</f><v>T-1</v></c>'
        '<c r="B2" t="e"><f>NA()</f><v>#N/A</v></c></row></sheetData></worksheet>'
    )
    table, (task,) = tasks(xlsx([], sheet_xml=sheet.encode()))
    assert task.ref == "T-1", "what the formula gave"
    assert [(one.line, one.column) for one in table.faults] == [(2, "B"), (2, "title")]
    assert "#N/A" in table.faults[0].sentence.ja


def test_a_number_of_which_excel_lost_digits_is_no_ref() -> None:
    lines: list[list[Cell]] = [
        ["ref", "title", "assignee_email"],
        [Number(1234567890123456780), "A"],
    ]
    table, _ = tasks(xlsx(lines))
    assert (table.faults[0].line, table.faults[0].column) == (2, "A")
    assert "文字列" in table.faults[0].sentence.ja


def test_blank_rows_and_a_cell_far_away_cost_nothing() -> None:
    lines: list[list[Cell]] = [["ref", "title", "assignee_email"], [], ["T-1", "A"]]
    data = xlsx(lines)
    assert [one.line for one in tasks(data)[1]] == [3]
    far = (
        f'<worksheet xmlns="{MAIN}"><sheetData><row r="1"><c r="A1" t="str"><v>ref</v></c>'
        '<c r="B1" t="str"><v>title</v></c><c r="C1" t="str"><v>assignee_email</v></c></row>'
        '<row r="4000000000"><c r="XFD1048576" s="0"/></row></sheetData></worksheet>'
    )
    for there in (far, far.replace("4000000000", "1048576")):
        begun = thread_time()
        assert tasks(xlsx([], sheet_xml=there.encode()))[1] == []
        assert thread_time() - begun < 2


def test_the_first_visible_sheet_is_read_and_macros_are_not() -> None:
    data = xlsx([list(ENGLISH), ["T-1", "A", "", "2026/11/24"]], sheet="タスク & 予定",
                more={"xl/vbaProject.bin": b"never looked at"})  # fmt: skip
    table, found = tasks(data)
    assert found[0].ref == "T-1"
    assert table.kind.ja == "Excel ブック(.xlsm、シート「タスク & 予定」、マクロは読みません)"


def test_what_a_workbook_has_beside_its_sheet_is_not_looked_at() -> None:
    more = {
        "xl/media/image1.PNG": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        "xl/media/image2.svg": b"<!DOCTYPE svg><!-- drawn by hand --><svg/>",
        "xl/printerSettings/printerSettings1.bin": "<Canon>".encode("utf-16-le"),
        "xl/embeddings/book.xlsx": GOOD,
    }
    data = xlsx([list(ENGLISH), ["T-1", "A", "", "2026/11/24"]], more=more)
    assert tasks(data)[1][0].ref == "T-1"


# --- workbooks: what is refused ------------------------------------------------------------------

GOOD = xlsx([list(ENGLISH), ["T-1", "A", "", "2026/11/24"]])
END = b"PK\x05\x06"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)


def numbered(count: int) -> dict[str, bytes]:
    return {f"xl/media/image{n:06}.png": b"" for n in range(count)}


def sheet(inner: str, before: str = "", part: str = "worksheets/sheet1.xml") -> bytes:
    xml = f'{before}<worksheet xmlns="{MAIN}"><sheetData>{inner}</sheetData></worksheet>'
    return xlsx([], sheet_xml=xml.encode(), part=part)


def directory_hidden(by: str) -> bytes:
    """A zip of 20,000 entries, whose end record, or what looks like one, says that there are few."""
    data = xlsx([], more=numbered(20_000))
    end = len(data) - 22
    entries, size, offset = struct.unpack("<HII", data[end + 10 : end + 20])
    if by == "a larger end":
        larger = struct.pack(
            "<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, size, offset
        )
        larger += struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
        return data[:end] + larger + struct.pack("<4sHHHHIIH", END, 0, 0, 1, 1, 100, offset, 0)
    # An end record within the end record: zipfile corrects an offset that is wrong.
    return data[: end + 16] + END + bytes(2)


BAD: dict[str, tuple[bytes, str, str]] = {
    "a zip that is no workbook": (zipped({"members.csv": b"x"}), "zip ファイル", "a zip file"),
    "an old workbook": (OLE + "Workbook".encode("utf-16-le"), ".xls", "save it as .xlsx"),
    "a password": (OLE + "EncryptedPackage".encode("utf-16-le"), "パスワード", "password"),
    "OpenDocument": (
        zipped({"mimetype": b"application/vnd.oasis.opendocument.spreadsheet"}), ".ods", ".ods",
    ),
    "Numbers itself": (zipped({"Index/Document.iwa": b""}), ".numbers", ".numbers"),
    "a binary workbook": (zipped({"xl/workbook.bin": b""}), ".xlsb", ".xlsb"),
    "half of a workbook": (GOOD[: len(GOOD) // 2], "壊れている", "damaged"),
    "a workbook without its sheet": (
        zipped({"xl/workbook.xml": b"<x/>", "[Content_Types].xml": b"<x/>"}), "壊れて", "damaged",
    ),
    "entities": (
        sheet("", '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]>'), "壊れているか", "damaged",
    ),
    "a file from elsewhere": (
        sheet("", '<!DOCTYPE x SYSTEM "file:///etc/hostname">'), "壊れているか", "damaged",
    ),
    "entities in EBCDIC": (
        sheet("", '<?xml version="1.0" encoding="cp037"?>'), "壊れているか", "damaged",
    ),
    "entities in a part of another name": (
        sheet("", '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]>', "media/image1.png"),
        "壊れているか", "damaged",
    ),
    "many parts behind a larger end record": (
        directory_hidden("a larger end"), "壊れているか", "damaged",
    ),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "文字コードを判別できません", "not known"),
}  # fmt: skip
MILLION = '<c t="n"/>' * 1_000_000
TOO_LARGE: dict[str, Callable[[], bytes]] = {
    "a bomb": lambda: xlsx([], more={"xl/media/x.xml": bytes(1) + b" " * 50_000_000}),
    "too many parts": lambda: xlsx([], more=numbered(20_000)),
    "too many parts, with an end in the end": lambda: directory_hidden("an end in the end"),
    "a million cells in a row": lambda: sheet(f"<row>{MILLION}</row>"),
    "a million cells in data": lambda: sheet(f"<row>{MILLION}</row>", part="worksheets/sheet1.dat"),
    "a million cells in capitals": lambda: sheet(f"<row>{MILLION}</row>", part="SHEET1.XML"),
    "a million cells in a picture": lambda: sheet(f"<row>{MILLION}</row>", part="media/image1.png"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_workbook_of_ours_is_refused_by_its_name(name: str) -> None:
    data, ja, en = BAD[name]
    sentence = refusal(data)
    assert ja in sentence.ja
    assert en in sentence.en


@pytest.mark.parametrize("name", TOO_LARGE)
def test_what_is_too_large_is_refused_unread(name: str) -> None:
    sentence = refusal(TOO_LARGE[name]())
    assert "大きすぎます" in sentence.ja
    assert "too much" in sentence.en


def test_a_workbook_of_too_many_lines_is_refused() -> None:
    lines = [["ref", "title", "assignee_email"], *([str(n), "A", ""] for n in range(22))]
    assert "20行まで" in refusal(xlsx(lines), most_lines=20).ja


@given(st.binary(min_size=1, max_size=8), st.integers(0, len(GOOD) - 1))
def test_a_damaged_workbook_is_rows_or_a_refusal(data: bytes, place: int) -> None:
    damaged = GOOD[:place] + data + GOOD[place + len(data) :]
    with suppress(ImportRefused):
        read_table(damaged, "tasks")


def test_a_lie_about_its_size_is_no_way_around_the_bounds() -> None:
    name = b"xl/media/x.xml"
    data = bytearray(xlsx([], more={name.decode(): b" " * 50_000_000}))
    for magic, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        place = data.find(magic + data[data.rfind(magic) + 4 : data.rfind(magic) + 6])
        while place >= 0:
            if name in data[place : place + 80]:
                struct.pack_into("<I", data, place + offset, 10)
            place = data.find(magic, place + 4)
    with suppress(ImportRefused):
        assert read_table(bytes(data), "tasks", most_lines=1_000).rows == []
