"""The local mailbox: an SMTP server that keeps every mail, and the pages that show them."""

import re
import smtplib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app import config, create_app, schema, services
from app.local import mailbox
from tests.servers import accepts, free_port, spawn, wait_until

pytestmark = pytest.mark.pages

HTML = '<html><head><title>t</title></head><body><a href="http://127.0.0.1/r/x">報告する</a></body>'
EVENING = datetime(2026, 11, 24, 15, 5, tzinfo=UTC)  # 0:05 on the 25th in Tokyo


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """DATA_DIR/mailbox."""
    path = tmp_path / "data" / "mailbox"
    path.mkdir(parents=True)
    return path


def settings(tmp_path: Path, **more: str) -> config.Config:
    environ = {"DATA_DIR": "data", "SMTP_HOST": "127.0.0.1", "MAIL_FROM": "a@example.jp"}
    return config.load({**environ, "TASK_PROGRESS_MAILBOX": "1", **more}, tmp_path)


def pages(chosen: config.Config) -> FlaskClient:
    return create_app(chosen, services.make(chosen)).test_client()


@pytest.fixture
def browser(tmp_path: Path) -> FlaskClient:
    """The pages as `make run` serves them."""
    return pages(settings(tmp_path))


@pytest.fixture
def smtp_port(folder: Path) -> Iterator[int]:
    """The mailbox's SMTP server, a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "app.local.catcher", "--port", str(port)]
    server = spawn([*command, "--folder", folder], folder.with_name("catcher.log"))
    try:
        wait_until(lambda: accepts(port), "the mailbox")
        yield port
    finally:
        server.terminate()
        assert server.wait(30) == 0


def letter(
    subject: str = "未報告のタスク3件", text: str = "本文\n", html: str | None = HTML
) -> bytes:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "Task Progress <app@example.jp>"
    message["To"] = "佐藤 花子 <sato.hanako@example.jp>"
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    return message.as_bytes().replace(b"\n", b"\r\n")


def put(folder: Path, data: bytes, now: datetime = EVENING) -> str:
    recipient = "sato.hanako@example.jp"
    return mailbox.keep(folder, data, sender="bounce@example.jp", recipient=recipient, now=now)


# -- catching -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_mail_is_kept_byte_for_byte_behind_its_envelope(folder: Path, smtp_port: int) -> None:
    body = b"Subject: x\r\n\r\n.\r\n..two\r\nlast\r\n"
    with smtplib.SMTP("127.0.0.1", smtp_port) as smtp:
        smtp.sendmail("bounce@example.jp", ["sato@example.jp"], body)
    (file,) = folder.glob("*.eml")
    envelope = b"Return-Path: <bounce@example.jp>\r\nDelivered-To: sato@example.jp\r\n"
    assert file.read_bytes() == envelope + body
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_the_servers_answer_names_the_file_and_two_recipients_get_one_each(
    folder: Path, smtp_port: int
) -> None:
    with smtplib.SMTP("127.0.0.1", smtp_port) as smtp:
        smtp.ehlo()
        smtp.mail("")
        smtp.rcpt("a@example.jp")
        smtp.rcpt("b@example.jp")
        code, text = smtp.data(letter())
    assert code == 250
    assert {f"{name}.eml" for name in text.decode().split()[3:]} == {
        file.name for file in folder.iterdir()
    }
    assert len(list(folder.iterdir())) == 2


@pytest.mark.slow
def test_a_mailbox_that_cannot_store_says_so_and_the_mail_stays_with_the_sender(
    folder: Path, smtp_port: int
) -> None:
    folder.rename(folder.with_name("away"))
    with smtplib.SMTP("127.0.0.1", smtp_port) as smtp:
        smtp.ehlo()
        smtp.mail("a@example.jp")
        smtp.rcpt("b@example.jp")
        code, text = smtp.data(letter())
    assert (code, text.split()[0]) == (452, b"4.3.1")


def test_nothing_half_written_is_shown(folder: Path, browser: FlaskClient) -> None:
    (folder / ".20261124T000000000000-00000000.part").write_bytes(letter())
    (folder / "notes.txt").write_text("x")
    assert mailbox.newest(folder) == []


# -- the list -------------------------------------------------------------------------------


def test_the_empty_mailbox_says_what_will_come(tmp_path: Path, browser: FlaskClient) -> None:
    assert "メールはまだありません" in browser.get("/mailbox").text
    assert "No mails yet" in browser.get("/mailbox?lang=en").text


def test_the_list_shows_from_to_subject_and_local_time_newest_first(
    folder: Path, browser: FlaskClient
) -> None:
    put(folder, letter("ひとつめ"), datetime(2026, 11, 24, 1, tzinfo=UTC))
    put(folder, letter("ふたつめ"), EVENING)
    page = browser.get("/mailbox").text
    assert page.index("ふたつめ") < page.index("ひとつめ")
    assert "11月25日(水) 00:05" in page
    assert "&lt;sato.hanako@example.jp&gt;" in page
    assert "佐藤 花子" in page
    assert "&lt;app@example.jp&gt;" in page
    assert "Wed 25 Nov 00:05" in browser.get("/mailbox?lang=en").text


def test_a_long_list_goes_on_with_older_mails(folder: Path, browser: FlaskClient) -> None:
    for second in range(53):
        put(folder, letter(f"mail-{second:02}"), EVENING.replace(second=second))
    first = browser.get("/mailbox").text
    assert re.findall(r"mail-\d\d", first) == [f"mail-{n:02}" for n in range(52, 2, -1)]
    older = re.search(r"/mailbox\?before=[^\"]+", first)
    assert older
    rest = browser.get(older.group()).text
    assert re.findall(r"mail-\d\d", rest) == ["mail-02", "mail-01", "mail-00"]


def test_broken_mails_do_not_break_the_page(folder: Path, browser: FlaskClient) -> None:
    for number, data in enumerate((b"", b"\xff\xfe\x00", b"Subject: =?utf-8?b?A?=\r\n\r\n")):
        put(folder, data, EVENING.replace(second=number))
    unknown = b"Content-Type: text/plain; charset=klingon\r\nTo: @@<,\r\n\r\nnuqneH"
    mail_id = put(folder, unknown, EVENING.replace(second=9))
    assert browser.get("/mailbox").status_code == 200
    assert "nuqneH" in browser.get(f"/mailbox/{mail_id}").text


def test_a_mail_that_is_deleted_while_the_list_is_made_is_left_out(
    folder: Path, browser: FlaskClient
) -> None:
    kept = put(folder, b"Subject: kept\r\n\r\n", EVENING)
    gone = put(folder, b"", EVENING.replace(second=1))
    (folder / f"{gone}.eml").unlink()
    (folder / f"{gone}.eml").symlink_to("nothing")  # its name is listed still
    assert kept in browser.get("/mailbox").text


# -- one mail -------------------------------------------------------------------------------


def test_a_mail_opens_as_html_in_a_sandbox_without_scripts_forms_or_our_origin(
    folder: Path, browser: FlaskClient
) -> None:
    mail_id = put(folder, letter())
    page = browser.get(f"/mailbox/{mail_id}").text
    frame = re.search(r"<iframe[^>]*>", page)
    assert frame
    sandbox = 'sandbox="allow-popups allow-popups-to-escape-sandbox"'
    assert sandbox in frame.group()
    assert f'src="/mailbox/{mail_id}/html"' in frame.group()
    policy = browser.get(f"/mailbox/{mail_id}/html").headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-popups allow-popups-to-escape-sandbox;")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "script" not in policy


def test_links_of_the_mail_open_in_a_new_tab(folder: Path, browser: FlaskClient) -> None:
    mail_id = put(folder, letter(text="報告: http://127.0.0.1/r/abc-_9。\nおわり\n"))
    html = browser.get(f"/mailbox/{mail_id}/html").text
    assert html.startswith('<html><head><base target="_blank"><title>')
    text = browser.get(f"/mailbox/{mail_id}?view=text").text
    link = '<a href="http://127.0.0.1/r/abc-_9" target="_blank" rel="noopener">'
    assert f"{link}http://127.0.0.1/r/abc-_9</a>。" in text


def test_text_and_source_are_data_never_markup(folder: Path, browser: FlaskClient) -> None:
    mail_id = put(folder, letter("<script>1</script>", "{{7*7}} <b>x</b>\n", None))
    text = browser.get(f"/mailbox/{mail_id}").text
    assert "{{7*7}} &lt;b&gt;x&lt;/b&gt;" in text
    assert "<script>" not in text
    assert "iframe" not in text
    source = browser.get(f"/mailbox/{mail_id}?view=source").text
    assert "Return-Path: &lt;bounce@example.jp&gt;" in source


def test_a_view_that_the_mail_does_not_have_falls_back(folder: Path, browser: FlaskClient) -> None:
    mail_id = put(folder, letter(html=None))
    assert "本文" in browser.get(f"/mailbox/{mail_id}?view=html").text
    assert browser.get(f"/mailbox/{mail_id}/html").status_code == 404


def test_a_very_long_mail_is_cut_and_says_where_the_rest_is(
    folder: Path, browser: FlaskClient
) -> None:
    mail_id = put(folder, letter(text="0123456789\n" * 30_000, html=None))
    page = browser.get(f"/mailbox/{mail_id}?view=text").text
    assert len(page) < 300_000
    assert f"DATA_DIR/mailbox/{mail_id}.eml" in page


@pytest.mark.parametrize("wrong", ["x", "..%2Frun.env", "20261124T000000000000-00000000", "%00"])
def test_what_is_no_mail_is_a_designed_404(browser: FlaskClient, wrong: str) -> None:
    answer = browser.get(f"/mailbox/{wrong}")
    assert answer.status_code == 404
    assert "ページが見つかりません" in answer.text


# -- the frame of every page ----------------------------------------------------------------


def test_without_the_local_mailbox_there_is_no_mailbox_page(tmp_path: Path) -> None:
    browser = pages(settings(tmp_path, TASK_PROGRESS_MAILBOX="0"))
    assert browser.get("/mailbox").status_code == 404
    assert "/mailbox" not in browser.get("/").text


@pytest.mark.parametrize("path", ["/", "/mailbox", "/healthz", "/nowhere", "/static/style.css"])
def test_every_answer_carries_the_strict_headers(browser: FlaskClient, path: str) -> None:
    with browser.get(path) as answer:
        headers = answer.headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"  # nobody else learns an address of ours


@pytest.mark.parametrize(
    ("header", "language"),
    [("", "ja"), ("en-GB,en;q=0.9", "en"), ("fr", "ja"), ("ja,en;q=0.8", "ja")],
)
def test_the_browsers_language_decides_and_japanese_is_the_default(
    browser: FlaskClient, header: str, language: str
) -> None:
    page = browser.get("/", headers={"Accept-Language": header}).text
    assert f'<html lang="{language}">' in page


def test_a_chosen_language_is_remembered_and_the_rest_of_the_address_kept(
    browser: FlaskClient,
) -> None:
    page = browser.get("/mailbox?before=2026&lang=en").text
    assert 'href="?before=2026&amp;lang=ja"' in page
    assert '<html lang="en">' in browser.get("/").text
    assert '<html lang="ja">' in browser.get("/?lang=ja").text
    assert '<html lang="ja">' in browser.get("/?lang=xx").text


def test_health_answers_ok_and_names_the_database_when_it_is_away(
    tmp_path: Path, browser: FlaskClient
) -> None:
    no_tables = browser.get("/healthz")
    assert (no_tables.status_code, "database" in no_tables.text) == (503, True)
    schema.upgrade(browser.application.extensions["task_progress"].db)
    assert browser.get("/healthz").json == {"status": "ok", "reasons": []}
    away = pages(settings(tmp_path, DATABASE_URL="postgresql://127.0.0.1:1/x")).get("/healthz")
    assert (away.status_code, away.json) == (
        503,
        {"status": "unavailable", "reasons": ["database"]},
    )


# -- the sheet ------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_every_text_colour_can_be_read_in_light_and_in_dark() -> None:
    sheet = Path("app/static/style.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", sheet, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        colour = dict(re.findall(r"--([\w-]+): (#\w{6});", block))
        for paper in (colour["paper"], colour["raised"]):
            for name in ("ink", "muted", "accent", "reported", "amber", "blocked", "away"):
                assert contrast(colour[name], paper) >= 4.5, (name, paper)
            assert contrast(colour["edge"], paper) >= 3
        assert contrast(colour["on-accent"], colour["accent"]) >= 4.5
