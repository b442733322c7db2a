"""A member in a browser: signing in, the preview of settings, a text that survives."""

from playwright.sync_api import expect

from e2e.conftest import PHONE, Visit
from e2e.server import Site
from tests.pages import EMAILS


def test_signing_in_from_the_mail_and_out_again(visit: Visit, own_site: Site) -> None:
    page = visit(own_site, "/settings", width=PHONE)
    page.get_by_label("メールアドレス").fill(EMAILS["member"])
    page.get_by_role("button", name="リンクを送る").click()
    expect(page.get_by_role("heading", name="メールを確認してください")).to_be_visible()
    page.goto(own_site.newest_link(EMAILS["member"], "/login/"))
    page.get_by_role("button", name="サインインする").click()
    page.wait_for_url("**/settings")  # where they wanted to go
    page.get_by_role("button", name="サインアウト", exact=True).click()
    page.goto(f"{own_site.url}/settings")
    expect(page.get_by_role("button", name="リンクを送る")).to_be_visible()


def test_the_preview_follows_what_is_typed_and_saves_nothing(visit: Visit, site: Site) -> None:
    page = visit(site, "/settings", "member")
    preview = page.locator("#preview")
    page.get_by_label("時刻", exact=True).fill("10:45")
    expect(preview).to_contain_text("10:45")
    page.get_by_label("受け取らない").check()
    expect(preview).to_contain_text("次のメールの予定はありません")
    page.reload()
    expect(preview).not_to_contain_text("10:45")


def test_without_scripts_a_button_shows_the_preview(visit: Visit, site: Site) -> None:
    page = visit(site, "/settings", "member", scripts=False)
    page.get_by_label("時刻", exact=True).fill("10:45")
    page.get_by_role("button", name="確認する").click()
    expect(page.locator("#preview")).to_contain_text("10:45")
    expect(page.get_by_label("時刻", exact=True)).to_have_value("10:45")


def test_a_text_survives_a_sign_out_in_another_tab(visit: Visit, own_site: Site) -> None:
    page = visit(own_site, "/tasks/new", "member")
    page.get_by_label("タスク", exact=True).fill("失いたくない長めの題名です")
    other = page.context.new_page()
    other.goto("/settings")
    other.get_by_role("button", name="サインアウト", exact=True).click()
    page.get_by_role("button", name="追加する").click()
    expect(page.get_by_role("textbox", name="題名")).to_have_value("失いたくない長めの題名です")
    url = own_site.fresh_link(EMAILS["member"])
    other.goto(url)
    other.get_by_role("button", name="サインインする").click()
    page.get_by_role("button", name="タスクを追加する").click()
    page.wait_for_url(f"{own_site.url}/")
    expect(page.get_by_role("heading", name="失いたくない長めの題名です")).to_be_visible()
