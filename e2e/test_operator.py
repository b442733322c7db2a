"""The operator in a browser: a mail sent again, a file with one bad line, sending stopped."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from app import clock, clock_trust, reminders
from app.identity import known_settings
from app.imports import uploads
from app.members.roster import id_of
from app.models import Setting
from app.outbox import browse
from app.people.columns import HEADERS
from e2e.accessibility import Language, assert_accessible
from e2e.conftest import PHONE, Visit
from e2e.server import Site, running
from e2e.test_screenshots import LOOKS
from tests.pages import EMAILS
from tests.test_clock_trust import jump

ROW = "{email},{name},member,開発,,ja,,,,,,,yes\n"


def file(*rows: tuple[str, str]) -> bytes:
    """A file of members."""
    lines = [ROW.format(email=email, name=name) for email, name in rows]
    return (",".join(HEADERS["members"]) + "\n" + "".join(lines)).encode()


BAD = file(("suzuki.ichiro@example.jp", "鈴木 次郎"), ("new@example.jp", "新人 太郎"), ("a@@b", ""))


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The sample's morning is sent, and a file with one bad line was looked at."""
    with running(tmp_path_factory.mktemp("busy")) as site:
        now = clock.now()
        reminders.remind(site.services, now=now, on=site.today, confirmed=True)
        site.send()
        admin = id_of(site.services, EMAILS["admin"])
        assert admin is not None
        uploads.keep(
            site.services, admin, "members", "名簿.csv", BAD, overwrite_settings=False, now=now
        )
        yield site


def sent(site: Site) -> int:
    """The newest reminder that was accepted."""
    rows = browse.newest(site.services, limit=50, state="accepted")
    return next(int(row["id"]) for row in rows if row["kind"] == "reminder")


def paths(site: Site) -> dict[str, str]:
    """Pages that need a mail or a file."""
    mail = sent(site)
    return {
        "outbox-full": "/outbox",
        "outbox-mail": f"/outbox/{mail}",
        "outbox-resend": f"/outbox/{mail}/resend",
        "import-preview": "/admin/import/1",
    }


NAMES = ["outbox-full", "outbox-mail", "outbox-resend", "import-preview"]


@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing_where_there_is_something_to_see(
    visit: Visit, busy: Site, name: str, language: Language
) -> None:
    page = visit(busy, paths(busy)[name], "admin", language=language)
    assert_accessible(page, language)


def test_a_mail_is_sent_again(visit: Visit, busy: Site) -> None:
    mail = sent(busy)
    page = visit(busy, f"/outbox/{mail}", "admin", scripts=False)
    frame = page.frame_locator("iframe.mail-html")
    expect(frame.get_by_role("link").first).to_be_visible()
    page.get_by_role("link", name="もう一度送る").click()
    expect(page.get_by_text("すでに1通が出ている")).to_be_visible()
    page.get_by_role("button", name="もう1通送る").click()
    expect(page.get_by_text("このメールとして送り直します")).to_be_visible()
    expect(page.get_by_role("link", name=f"#{mail}")).to_be_visible()
    busy.send()
    page.reload()
    expect(page.locator(".state").first).to_have_text("受付済み")


def test_a_file_with_one_bad_line_writes_nothing_and_the_mended_one_all(
    visit: Visit, own_site: Site
) -> None:
    page = visit(own_site, "/admin/import", "admin", scripts=False)
    page.get_by_label("Excel ブックか CSV のファイル").set_input_files(
        {"name": "名簿.csv", "mimeType": "text/csv", "buffer": BAD}
    )
    page.get_by_role("button", name="内容を確認する").click()
    expect(page.get_by_text("1行に直すところがあるため")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="鈴木 次郎")).to_contain_text("変更")
    expect(page.get_by_role("button", name="書き込む")).to_have_count(0)
    page.get_by_role("link", name="直したファイルを選ぶ").click()
    good = file(("suzuki.ichiro@example.jp", "鈴木 次郎"), ("new@example.jp", "新人 太郎"))
    page.get_by_label("Excel ブックか CSV のファイル").set_input_files(
        {"name": "名簿.csv", "mimeType": "text/csv", "buffer": good}
    )
    page.get_by_role("button", name="内容を確認する").click()
    page.get_by_role("button", name="2行を書き込む").click()
    expect(page.get_by_text("追加 1、変更 1、変更なし 0")).to_be_visible()
    page.goto("/admin/members?search=new@")
    expect(page.get_by_role("link", name="新人 太郎")).to_be_visible()


def test_an_address_is_changed_on_the_members_page(visit: Visit, own_site: Site) -> None:
    member = id_of(own_site.services, EMAILS["member"])
    page = visit(own_site, f"/admin/members/{member}", "admin", width=PHONE)
    page.get_by_label("新しいアドレス").fill(EMAILS["lead"])
    page.get_by_role("button", name="アドレスを変える").click()
    expect(page.get_by_text("このアドレスのメンバーがほかにいます")).to_be_visible()
    page.get_by_label("新しいアドレス").fill("another@example.jp")
    page.get_by_role("button", name="アドレスを変える").click()
    expect(page.get_by_text("アドレスを変えました")).to_be_visible()
    expect(page.get_by_text("another@example.jp", exact=True)).to_be_visible()


def test_the_organisations_value_is_given_to_everybody(visit: Visit, own_site: Site) -> None:
    page = visit(own_site, "/admin/settings", "admin", width=PHONE)
    own = page.locator("section", has_text="自分の値を使っているメンバー")
    before = own.locator("details").count()
    own.locator("summary").first.click()
    own.get_by_role("button", name="全員に組織の値を使う").first.click()
    expect(page.get_by_text("メンバーの自分の値を消しました")).to_be_visible()
    expect(own.locator("details")).to_have_count(before - 1)


def test_all_sending_is_stopped_with_one_button(visit: Visit, own_site: Site) -> None:
    page = visit(own_site, "/admin", "admin", width=PHONE, scripts=False)
    page.get_by_role("button", name="送信を止める").click()
    expect(page.get_by_text("すべての送信を止めました")).to_be_visible()
    page.goto("/outbox")
    expect(page.locator(".banner")).to_contain_text("送信を一時停止しています")
    page.goto("/admin")
    page.get_by_role("button", name="送信を再開する").click()
    expect(page.get_by_text("送信できる状態です。確認待ち")).to_be_visible()


def doubtful(site: Site) -> None:
    """Mails went with other settings so far, and the clock jumped ahead."""
    with site.services.db.write() as session:
        row = session.get_one(Setting, known_settings.KEY)
        row.value = row.value | {
            "mail_server": "smtp.example.com:587",
            "mail_from": "進捗のお知らせ <progress@an-older-and-longer-name.example.jp>",
            "pages": "https://progress.an-older-and-longer-name.example.jp",
        }
    clock_trust.doubted(site.services, clock.now())
    jump(site.services.db, timedelta(hours=9))
    assert clock_trust.doubted(site.services, clock.now())


def test_an_admin_says_that_settings_and_clock_are_right(visit: Visit, own_site: Site) -> None:
    page = visit(own_site, "/admin", "admin", width=PHONE)
    doubtful(own_site)
    languages: tuple[Language, ...] = ("ja", "en")
    for language in languages:
        assert_accessible(visit(own_site, "/admin", "admin", language=language), language)
    for width, theme, language in LOOKS if "SCREENSHOTS" in os.environ else ():
        page = visit(own_site, "/admin", "admin", width=width, theme=theme, language=language)
        name = f"admin-doubtful-{width}-{theme}-{language}.png"
        page.screenshot(path=Path(os.environ["SCREENSHOTS"]) / name, full_page=True)
    page = visit(own_site, "/admin", "admin", width=PHONE, scripts=False)
    expect(page.get_by_role("row").filter(has_text="SMTP_HOST")).to_contain_text("example.com:587")
    page.get_by_role("button", name="この変更は正しい").click()
    expect(page.get_by_text("この設定を正しいものとして記録しました")).to_be_visible()
    expect(page.get_by_role("button", name="この変更は正しい")).to_have_count(0)
    page.get_by_role("button", name="この時計は正しい").click()
    expect(page.get_by_text("時計を正しいと認めました")).to_be_visible()
    assert clock_trust.doubted(own_site.services, clock.now()) is None


@pytest.mark.skipif("SCREENSHOTS" not in os.environ, reason="only for `make screenshots`")
@pytest.mark.parametrize("name", NAMES)
def test_draw(visit: Visit, busy: Site, name: str) -> None:
    folder = Path(os.environ["SCREENSHOTS"])
    folder.mkdir(parents=True, exist_ok=True)
    for width, theme, language in LOOKS:
        shown = visit(busy, paths(busy)[name], "admin", width=width, theme=theme, language=language)
        shown.screenshot(path=folder / f"{name}-{width}-{theme}-{language}.png", full_page=True)
