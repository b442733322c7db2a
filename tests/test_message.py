"""The bytes of a mail, read back by the standard library's parser; and what is no mail."""

import base64
import binascii
import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.mime.address import read_mailbox, write_mailbox
from app.mime.body_encoding import Quoted, quote
from app.mime.message import Envelope, MailMessage, UnusableMessage, build, width

WHEN = datetime(2026, 11, 24, tzinfo=UTC)


def letter(**values: Any) -> MailMessage:
    usual: dict[str, Any] = {
        "to": "花子 <hanako@example.jp>",
        "subject": "3件のタスクが未報告です",
        "text": "おはようございます。\n",
        "mail_from": "Task Progress <app@example.com>",
        "message_id": "<reminder.17.2026-11-24.0@example.com>",
    }
    return MailMessage(**(usual | values))


def built(**values: Any) -> Envelope:
    return build(letter(**values), date=WHEN)


def parsed(**values: Any) -> EmailMessage:
    message = message_from_bytes(built(**values).data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def header(data: bytes, name: str) -> str:
    """A header as it stands, unfolded, its encoded words not decoded."""
    return re.sub(r"\r\n(?=[ \t])", "", message_from_bytes(data, policy=policy.compat32)[name])


def decoded(text: str) -> str:
    """RFC 2047 decoded, blanks between two encoded words dropped as it says (3.11's newer parser
    keeps them in names)."""
    return str(make_header(decode_header(text)))


def name_shown(data: bytes) -> str:
    name, address = parseaddr(header(data, "To"))
    assert address == "hanako@example.jp"
    return decoded(name)


def part(message: EmailMessage, subtype: str) -> str:
    found = message.get_body((subtype,))
    assert isinstance(found, EmailMessage)
    payload = found.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


def refusal(**values: Any) -> UnusableMessage:
    with pytest.raises(UnusableMessage) as caught:
        built(**values)
    return caught.value


# --- what arrives ---------------------------------------------------------------------------


def test_a_letter_in_japanese_arrives_as_it_was_written() -> None:
    message = parsed(html="<p>おはよう</p>", reply_to="窓口 <desk@example.com>")
    assert message["Subject"] == "3件のタスクが未報告です"
    assert message["To"] == "花子 <hanako@example.jp>"
    assert message["From"] == "Task Progress <app@example.com>"
    assert message["Reply-To"] == "窓口 <desk@example.com>"
    assert message["Date"].datetime == WHEN
    assert message["Message-ID"] == "<reminder.17.2026-11-24.0@example.com>"
    assert message.get_content_type() == "multipart/alternative"
    assert part(message, "plain") == "おはようございます。\r\n"
    assert part(message, "html") == "<p>おはよう</p>\r\n"


def test_the_return_path_is_the_envelope_sender_and_in_no_header() -> None:
    envelope = built(return_path="bounce@example.com")
    assert envelope.sender == "bounce@example.com"
    assert b"bounce@" not in envelope.data
    assert built().sender == "app@example.com"


def test_the_same_letter_gives_the_same_bytes_every_time() -> None:
    both = [built(html="<b>x</b>").data for _ in "12"]
    assert both[0] == both[1]


BODY = ".\n..\n.\r\n\n.\r\nlone\rCR\n\n.\n.QUIT\n trailing \nFrom here\x00\x0b\n=20\n"


@pytest.mark.parametrize(
    "text", [BODY, BODY + "日本語" * 400, "", ".", "\r", "\r\r\n", "plain\rwords " * 9]
)
def test_dots_and_lone_carriage_returns_survive(text: str) -> None:
    wanted = re.sub("\r?\n", "\r\n", text)
    wanted += "" if wanted.endswith("\r\n") else "\r\n"
    assert part(parsed(text=text), "plain") == wanted
    assert part(parsed(text=text, html=text), "html") == wanted
    assert fits_the_wire(built(text=text, html=text).data)


def test_english_stays_readable_and_japanese_is_short() -> None:
    assert (
        b"\r\nGood morning, two tasks wait.\r\n" in built(text="Good morning, two tasks wait.").data
    )
    assert len(built(text="進捗" * 500).data) < len("進捗".encode()) * 500 * 1.5 + 500


TEXTS = st.text(st.characters(codec="utf-8"))
LINES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=200)


@example(subject="=?utf-8?q?x?=", name="=?utf-8?q?x?=", text="=?", html=None)
@given(subject=LINES, name=LINES, text=TEXTS, html=st.none() | TEXTS)
def test_whatever_people_write_comes_back_the_same(
    subject: str, name: str, text: str, html: str | None
) -> None:
    shown = name.strip()
    to = write_mailbox(shown, "hanako@example.jp")
    envelope = built(subject=subject, to=to, text=text, html=html)
    assert decoded(header(envelope.data, "Subject")) == subject
    if width(shown) <= 64:
        assert name_shown(envelope.data) == shown
    message = parsed(text=text, html=html)
    assert part(message, "plain").startswith(re.sub("\r?\n", "\r\n", text))
    if html is not None:
        assert part(message, "html").startswith(re.sub("\r?\n", "\r\n", html))
    assert fits_the_wire(envelope.data)


def fits_the_wire(data: bytes) -> bool:
    head = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
    words = re.findall(rb"=\?[^?]*\?b\?[^?]*\?=", data)
    return (
        data.isascii()
        and data.endswith(b"\r\n")
        and not re.search(rb"\r(?!\n)|(?<!\r)\n", data)
        and all(len(line) <= 998 for line in data.split(b"\r\n"))
        and all(len(line) <= 76 for line in head if b"=?" in line)
        and all(len(word) <= 75 for word in words)
        and all(line.strip() for line in head)
    )


@pytest.mark.parametrize(
    "subject", ["髙橋さん" * 60, "😀" * 120, "a" * 997, "word " * 300, "é" * 200]
)
def test_a_long_subject_is_folded_between_characters(subject: str) -> None:
    data = built(subject=subject).data
    assert fits_the_wire(data)
    words = re.findall(r"=\?utf-8\?b\?[^?]*\?=", header(data, "Subject"))
    assert "".join(decoded(word) for word in words) == subject


@pytest.mark.parametrize(
    ("name", "on_the_wire"),
    [
        ("Task Progress", b"To: Task Progress <hanako@example.jp>\r\n"),
        ("Smith, John", b'To: "Smith, John" <hanako@example.jp>\r\n'),
        ('Ken "K" \\', b'To: "Ken \\"K\\" \\\\" <hanako@example.jp>\r\n'),
        ("髙橋 健", b"To: =?utf-8?b?6auZ5qmLIOWBpQ==?= <hanako@example.jp>\r\n"),
        ("=?utf-8?q?x?=", b"To: =?utf-8?b?PT91dGYtOD9xP3g/PQ==?= <hanako@example.jp>\r\n"),
        ("", b"To: hanako@example.jp\r\n"),
    ],
)
def test_a_display_name_is_written_so_that_it_is_read_back(name: str, on_the_wire: bytes) -> None:
    to = write_mailbox(name, "hanako@example.jp")
    assert read_mailbox("to", to) == (name, "hanako@example.jp")
    assert on_the_wire in built(to=to).data


@pytest.mark.parametrize("name", ["寿限無" * 30, "x" * 300, "が" * 99, "👩‍👩‍👧" * 40])
def test_a_very_long_name_is_cut_at_64_columns(name: str) -> None:
    shown = name_shown(built(to=write_mailbox(name, "hanako@example.jp")).data)
    assert shown.endswith("…")
    assert name.startswith(shown[:-1])
    assert 56 < width(shown) <= 64


def test_further_headers_are_added_and_folded_only_at_blanks() -> None:
    link = f"<https://example.jp/u/{'x' * 300}>, <mailto:stop@example.jp>"
    extra = {"List-Unsubscribe": link, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    message = parsed(headers=extra)
    assert message["List-Unsubscribe"] == link
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


# --- addresses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "wire"),
    [
        ("hanako@example.jp", "hanako@example.jp"),
        ("<hanako@example.jp>", "hanako@example.jp"),
        ("Hanako+tag@EXAMPLE.jp", "Hanako+tag@example.jp"),
        ("a..b@docomo.ne.jp", '"a..b"@docomo.ne.jp'),
        ("a.@ezweb.ne.jp", '"a."@ezweb.ne.jp'),
        ('"a..b"@docomo.ne.jp', '"a..b"@docomo.ne.jp'),
        ("hanako@例え.jp", "hanako@xn--r8jz45g.jp"),
        ("hanako@xn--r8jz45g.jp", "hanako@xn--r8jz45g.jp"),
        ("hanako@corp.local", "hanako@corp.local"),
        (f"{'a' * 64}@example.jp", f"{'a' * 64}@example.jp"),
    ],
)
def test_an_address_goes_on_the_wire_in_ascii(to: str, wire: str) -> None:
    envelope = built(to=to)
    assert envelope.recipient == wire
    assert f"To: {wire}\r\n".encode() in envelope.data


@pytest.mark.parametrize(
    "to",
    [
        *("", "  ", "<>", "花子", "@example.jp", "hanako@", "hanako", '""@example.jp'),
        *("a@example.jp, b@example.jp", "a@example.jp,b@example.jp", "a@example.jp b@example.jp"),
        *("A <a@example.jp>, B <b@example.jp>", '"A" <a@example.jp>, "B" <b@example.jp>'),
        *("Team: a@example.jp;", "Team: A <a@example.jp>;", "Smith, John <a@example.jp>"),
        *("<a@example.jp> <b@example.jp>", "a@b@example.jp", "a@example.jp (Hanako)"),
        *("花子@example.jp", "a..b@example.jp", ".a@example.jp", "a.@example.jp"),
        *(f"{'a' * 65}@example.jp", f"a@{'a.' * 127}jp", f"a@{'a' * 64}.jp", "a@-b.jp"),
        *("a@[192.0.2.1]", "a@192.0.2.1", "user@localhost", "a@example", "a@exa_mple.jp"),
        *("a@xn--zzzzzz9999.jp", "a@example..jp", "a@example.jp."),
        f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 63}.jp",
    ],
)
def test_what_is_not_exactly_one_usable_address_is_refused(to: str) -> None:
    error = refusal(to=to)
    assert error.field == "to"
    assert error.sentence.ja.startswith("to「")
    assert error.sentence.en.startswith('to "')


def test_a_full_width_address_is_refused_with_the_plain_one_as_suggestion() -> None:
    error = refusal(to="ｔａｎａｋａ＠ｅｘａｍｐｌｅ．ｊｐ")
    assert "「tanaka@example.jp」" in error.sentence.ja
    assert '"tanaka@example.jp"' in error.sentence.en
    assert "ｔａｎａｋａ" not in str(error)


def test_localhost_is_an_address_only_where_it_was_allowed() -> None:
    message = letter(to="user@localhost")
    assert build(message, date=WHEN, allow_localhost=True).recipient == "user@localhost"
    assert refusal(to="user@localhost").field == "to"


def test_an_error_shows_no_whole_address_and_no_control_character() -> None:
    error = refusal(to="hanako.sato@example.jp\r\nBcc: taro.yamada@example.jp")
    assert "h***@example.jp" in str(error)
    assert "anako" not in str(error)
    assert "aro.yamada" not in str(error)
    assert "\r" not in str(error)


# --- what is refused ------------------------------------------------------------------------

BREAKS = ["\r", "\n", "\r\n", "\v", "\f", "\x85", "\u2028", "\u2029", "\x00", "\x1e", "\ud800"]


@pytest.mark.parametrize("bad", BREAKS, ids=ascii)
@pytest.mark.parametrize("place", ["subject", "to", "mail_from", "reply_to", "return_path"])
def test_a_line_break_in_a_header_is_refused_by_name(place: str, bad: str) -> None:
    value = f"進捗{bad}Bcc: x@example.jp"
    error = refusal(**{place: value if place == "subject" else f'"{value}" <a@example.jp>'})
    assert error.field == place
    assert "改行" in error.sentence.ja
    assert "line break" in error.sentence.en


@pytest.mark.parametrize(
    "name",
    [
        *(
            "X-A\r\nBcc",
            "X-A\n",
            "",
            "X A",
            "X:",
            "件名",
            "x" * 71,
            "Bcc",
            "to",
            "CC",
            "Content-Type",
        ),
        *("Subject", "Resent-To", "Return-Path", "Message-Id", "Reply-To"),
    ],
)
def test_a_header_name_that_would_add_or_replace_something_is_refused(name: str) -> None:
    error = refusal(headers={name: "x"})
    assert error.field.startswith("headers[")
    assert error.field.isascii()
    assert "\n" not in str(error)


@pytest.mark.parametrize("value", ["a\r\nBcc: x@example.jp", "a\nb", "日本語", "x" * 2000, "a\x00"])
def test_a_header_value_that_cannot_be_sent_as_it_is_is_refused(value: str) -> None:
    assert refusal(headers={"X-Note": value}).field == "headers['X-Note']"


@pytest.mark.parametrize(
    "given_id", [None, "", "x", "<x>", "<a@b>\r\nBcc: x@y.jp", "<a b@c>", "<あ@b>"]
)
def test_a_message_id_is_needed_and_checked(given_id: str | None) -> None:
    assert refusal(message_id=given_id).field == "message_id"


@pytest.mark.parametrize("place", ["text", "html"])
def test_half_a_character_in_a_text_is_refused_by_name(place: str) -> None:
    assert refusal(**{place: "a\ud800b"}).field == place


def test_a_date_without_a_zone_is_a_mistake_of_the_program() -> None:
    with pytest.raises(ValueError, match="aware"):
        build(letter(), date=WHEN.replace(tzinfo=None))


# --- the standard library's EmailMessage as the judge ------------------------------------------


def from_the_standard_library(subject: str, text: str, html: str) -> EmailMessage:
    """The same letter, built and written by email.message, and read back."""
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"] = "Task Progress <app@example.com>"
    mail["To"] = "hanako@example.jp"
    mail["Subject"] = subject
    mail["Message-ID"] = "<reminder.17.2026-11-24.0@example.com>"
    mail["Date"] = WHEN
    mail.set_content(text, cte="base64")
    mail.add_alternative(html, subtype="html", cte="base64")
    read = message_from_bytes(mail.as_bytes(), policy=policy.default)
    assert isinstance(read, EmailMessage)
    return read


SHOWN = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=80)
BODIES = st.text(st.characters(codec="utf-8", exclude_characters="\r"))


@given(subject=SHOWN, text=BODIES, html=BODIES)
def test_every_mail_reads_like_the_one_of_the_standard_library(
    subject: str, text: str, html: str
) -> None:
    subject = " ".join(subject.split())  # its parser drops and joins blanks
    theirs = from_the_standard_library(subject, text, html)
    ours = parsed(to="hanako@example.jp", subject=subject, text=text, html=html)
    for name in ("From", "To", "Subject", "Message-ID", "Date"):
        assert ours[name] == theirs[name]
    for subtype in ("plain", "html"):
        assert part(ours, subtype).replace("\r\n", "\n") == part(theirs, subtype).replace(
            "\r\n", "\n"
        )
    assert ours.get_content_type() == theirs.get_content_type()


@example(pieces=["a" * 80, "", " ", "=", "x ", "\n", ".", "\n", "日" * 40, "From a\n"])
@example(pieces=["", "ending in a blank ", "\n"])
@given(pieces=st.lists(BODIES, max_size=8).map(lambda pieces: [*pieces, "\n"]))
def test_a_text_quoted_piece_by_piece_reads_like_the_whole(pieces: list[str]) -> None:
    html = Quoted("".join(pieces), b"".join(map(quote, pieces)))
    assert part(parsed(html=html), "html").replace("\r\n", "\n") == html
    assert fits_the_wire(built(html=html).data)
    lines = html.quoted.removesuffix(b"\r\n").split(b"\r\n")
    assert max(map(len, lines)) <= 76
    assert not any(line.endswith((b" ", b"\t")) for line in lines)


@pytest.mark.parametrize("piece", ["x" * 76, "x" * 151, "é" + "x" * 70, "=x" * 19, "&" * 226])
def test_no_quoted_line_is_longer_than_76_with_its_soft_break(piece: str) -> None:
    assert max(map(len, quote(piece).split(b"\r\n"))) <= 76


def test_a_text_known_as_quoted_is_sent_so_where_that_is_hardly_longer() -> None:
    for line, encoding in (
        ("<b>plain</b> " * 9, "quoted-printable"),
        ("<b>plain</b> " * 9 + "進捗" * 50, "quoted-printable"),
        ("進捗" * 500, "base64"),
    ):
        html = Quoted(f"{line}\n", quote(f"{line}\n"))
        (found,) = [p for p in parsed(html=html).walk() if p.get_content_subtype() == "html"]
        assert found["Content-Transfer-Encoding"] == encoding


def test_the_shorter_encoding_is_chosen_by_its_length_exactly() -> None:
    for japanese in range(0, 120, 3):
        text = "a" * 300 + "あ" * japanese
        encoding = parsed(text=text)["Content-Transfer-Encoding"]
        lengths = {
            "quoted-printable": len(_encoded_as(text, "quoted-printable")),
            "base64": len(_encoded_as(text, "base64")),
        }
        wanted = "quoted-printable" if lengths["quoted-printable"] < lengths["base64"] else "base64"
        assert encoding == wanted


def _encoded_as(text: str, encoding: str) -> bytes:
    content = (text + "\r\n").encode()
    if encoding == "base64":
        return base64.encodebytes(content).replace(b"\n", b"\r\n")
    lines = content.split(b"\r\n")
    return b"\r\n".join(binascii.b2a_qp(line).replace(b"=\n", b"=\r\n") for line in lines)
