"""The admin's pages: members, teams, defaults, days off, imports. On both databases."""

import html
import io
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import date, time, timedelta
from urllib.parse import urlsplit

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from app import clock, tick
from app.audit import WHAT
from app.config import Config
from app.db import Database
from app.imports import uploads
from app.imports.file_rows import ImportRefused
from app.imports.files import import_file
from app.imports.uploads import MOST_LINES
from app.links import ReportLink, StopLink
from app.locale import Both
from app.members import changes, defaults, sign_in, teams
from app.members.admins import an_admin_stays
from app.members.days import LEAVE, WORKDAYS
from app.models import Audit, Kind, Member, OutboxMail, Role, Task, Team, Upload
from app.people import setting_names, values
from app.people.lookup import find
from app.people.settings import organisation
from app.people.values import ValuesRefused
from app.rules.workdays import Span
from app.services import Services
from tests.browser import OURS, signed_in
from tests.conftest import NOW, TODAY, People, task

pytestmark = pytest.mark.pages

SATO, SUZUKI, TANAKA = (
    "sato.hanako@example.jp",
    "suzuki.ichiro@example.jp",
    "tanaka.misaki@example.jp",
)
HEADER = (
    "email,name,role,team,manager_email,locale,timezone,notify_frequency,notify_at,weekly_day,"
    "quiet_hours_start,quiet_hours_end,active"
)


@pytest.fixture
def admin(admin: FlaskClient, db: Database, team: People) -> FlaskClient:
    """佐藤さん; 鈴木さん has T-1."""
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
    return admin


def post(browser: FlaskClient, path: str, **fields: str) -> TestResponse:
    """Sends a form of ours."""
    return browser.post(path, data=fields, headers=OURS)


def member(db: Database, email: str) -> Member:
    """The row."""
    with db.read() as session:
        return find(session, email)


def noted(db: Database) -> list[str]:
    """What the audit says since, but for signing in."""
    with db.read() as session:
        whats = session.scalars(select(Audit.what).order_by(Audit.id))
        return [what for what in whats if not what.startswith(("session.", "sign_in."))]


def test_each_setting_has_a_name() -> None:
    for key in values.NEW_MEMBER.keys() | values.ORGANISATION.keys():
        assert setting_names.name_of(key) != Both(key, key)


# --- members ----------------------------------------------------------------------------------


def test_a_row_edited_by_hand_breaks_no_page_and_is_mended_on_the_members(
    admin: FlaskClient, app: Flask, db: Database, services: Services, team: People
) -> None:
    theirs = signed_in(app, services, SUZUKI)
    with db.write() as session:
        find(session, SUZUKI).timezone = "Asia/Tokio"
    refused = theirs.get("/")
    assert (refused.status_code, "(timezone: &#39;Asia/Tokio&#39;)" in refused.text) == (422, True)
    assert "Asia/Tokio" in theirs.get("/settings/data.json").text
    assert 'aria-invalid="true"' in theirs.get("/settings").text  # beside the field
    for links in (services.links.report_url(ReportLink(team.suzuki.id, TODAY)),
                  services.links.stop_url(StopLink(team.suzuki.id, "reminder"))):  # fmt: skip
        assert theirs.get(urlsplit(links).path).status_code == 422
    sign_in.ask(services, SUZUKI, "/", clock.now())
    assert member(db, SUZUKI).id in asked_to_sign_in(db)
    path = f"/admin/members/{team.suzuki.id}"
    assert admin.get(path).status_code == 200
    assert post(admin, path, timezone="Asia/Tokyo").status_code == 303
    assert theirs.get("/").status_code == 200


def asked_to_sign_in(db: Database) -> set[int | None]:
    """Whose sign-in mails there are."""
    with db.read() as session:
        mails = select(OutboxMail.user_id).where(OutboxMail.kind == Kind.SIGN_IN)
        return set(session.scalars(mails))


@pytest.mark.parametrize(
    ("query", "found"),
    [("", {SATO, SUZUKI, TANAKA}), ("search=鈴木一郎", {SUZUKI}), ("search=TANAKA", {TANAKA}),
     ("search=%25", set()), ("state=inactive", set()), ("state=active&search=ichiro", {SUZUKI}),
     ("state=suppressed", set()), ("team_id=99", set())],
)  # fmt: skip
def test_members_are_found_by_part_of_a_name_or_address(
    admin: FlaskClient, query: str, found: set[str]
) -> None:
    page = admin.get(f"/admin/members?{query}").text
    assert {one for one in (SATO, SUZUKI, TANAKA) if f">{one}</td>" in page} == found


def test_the_list_of_many_members_goes_on_where_it_stopped(
    admin: FlaskClient, db: Database, services: Services
) -> None:
    for n in range(51):
        typed = {"email": f"m{n:02}@example.jp", "name": f"M {n}"}
        changes.add_member(services, typed, "test", clock.now())
    first = admin.get("/admin/members?search=m&state=active").text
    assert "after=m49@example.jp" in first
    assert "m50@example.jp" in admin.get("/admin/members?after=m49@example.jp").text


def test_a_member_is_added_and_reminded_from_the_next_hour(
    admin: FlaskClient, db: Database, travel: time_machine.Traveller
) -> None:
    travel.shift(60)  # nine o'clock has passed
    answer = post(admin, "/admin/members/new", email="new@Example.JP", name="新人 太郎",
                  role="member", team="開発", manager=SATO)  # fmt: skip
    made = member(db, "new@example.jp")
    assert answer.location == f"/admin/members/{made.id}?done=added"
    assert (made.name, made.active, made.decided_through) == ("新人 太郎", True, TODAY)
    with db.read() as session:
        manager = session.get_one(Member, made.manager_id)
    assert manager.email == SATO
    assert noted(db) == ["member.add"]


def test_a_member_that_cannot_be_added_is_refused_with_every_reason(
    admin: FlaskClient, db: Database
) -> None:
    page = post(admin, "/admin/members/new", email="ｔａｎａｋａ＠ｅｘａｍｐｌｅ．ｊｐ", name="",
                role="chief", team="営業", manager="x")  # fmt: skip
    assert page.status_code == 422
    assert page.text.count('class="error"') >= 3
    again = post(admin, "/admin/members/new", email=SUZUKI.upper(), name="鈴木", role="member")
    assert "このアドレスのメンバーはすでにいます" in again.text
    nul = post(admin, "/admin/members/new", email="a\0b@example.jp", name="x", manager="\0")
    assert nul.status_code in {303, 422}


def test_a_members_values_are_changed_all_or_none(
    admin: FlaskClient, db: Database, team: People
) -> None:
    path = f"/admin/members/{team.suzuki.id}"
    bad = post(admin, path, name="鈴木 次郎", notify_at="25:00", manager="nobody@example.jp")
    assert bad.status_code == 422
    assert "鈴木 次郎" in bad.text  # what was typed is kept
    assert member(db, SUZUKI).name == "鈴木 一郎"
    good = post(admin, path, name="鈴木 次郎", notify_at="08:30", role="lead", manager="")
    assert good.status_code == 303
    changed = member(db, SUZUKI)
    assert (changed.name, changed.role, changed.manager_id) == ("鈴木 次郎", "lead", None)
    assert noted(db) == ["member.set"]


def test_a_member_is_deactivated_signed_out_and_activated_again(
    admin: FlaskClient, app: Flask, services: Services, db: Database, team: People
) -> None:
    theirs = signed_in(app, services, SUZUKI)
    path = f"/admin/members/{team.suzuki.id}"
    post(admin, path, active="no")
    assert not member(db, SUZUKI).active
    assert theirs.get("/settings").status_code == 302
    post(admin, path, active="yes")
    assert member(db, SUZUKI).active


def test_the_last_admin_keeps_the_role_and_stays_active(
    admin: FlaskClient, db: Database, team: People
) -> None:
    path = f"/admin/members/{team.sato.id}"
    for field, value in (("role", "member"), ("active", "no")):
        answer = post(admin, path, **{field: value})
        assert answer.status_code == 422
        assert "ただ一人の管理者です" in answer.text
    kept = member(db, SATO)
    assert (kept.role, kept.active) == (Role.ADMIN, True)
    post(admin, f"/admin/members/{team.suzuki.id}", role="admin")
    assert post(admin, path, role="member").status_code == 303


@pytest.mark.parametrize("change", [{"role": "member"}, {"active": "no"}])
def test_two_admins_who_demote_each_other_at_once_leave_one(
    services: Services, db: Database, team: People, change: dict[str, str]
) -> None:
    with db.write() as session:
        both = Member.email.in_((SATO, SUZUKI))
        session.execute(update(Member).where(both).values(role=Role.ADMIN))
    with ThreadPoolExecutor(1) as pool:
        with db.write() as session, an_admin_stays(session):
            find(session, SATO).role = Role.MEMBER
            session.flush()
            other = pool.submit(changes.set_member, services, SUZUKI, change, SATO, NOW)
            with pytest.raises(TimeoutError):  # it waits: what it would see is not settled
                other.result(1)
        with pytest.raises(ValuesRefused):
            other.result()
    assert (member(db, SUZUKI).role, member(db, SUZUKI).active) == (Role.ADMIN, True)


@pytest.mark.parametrize(
    "case", [("member", "yes", "role"), ("admin", "no", "active"), ("lead", "yes", "")]
)
def test_an_import_cannot_take_the_last_admin_away(
    admin: FlaskClient, services: Services, db: Database, case: tuple[str, str, str]
) -> None:
    role, active, faulty = case
    theirs = "member" if faulty else "admin"
    file = (
        f"{HEADER}\n{SATO},佐藤 花子,{role},,,,,,,,,,{active}\n"
        f"{SUZUKI},鈴木 一郎,{theirs},,,,,,,,,,yes\n"
    )
    page = admin.get(upload(admin, file).location)
    assert ("ただ一人の管理者です" in page.text) == bool(faulty)
    if faulty:
        with pytest.raises(ImportRefused) as refused:
            import_file(services, "members", file.encode(), now=NOW)
        assert [(one.line, one.column) for one in refused.value.faults] == [(2, faulty)]
        assert member(db, SATO).role == Role.ADMIN
    else:
        import_file(services, "members", file.encode(), now=NOW)
        assert member(db, SUZUKI).role == Role.ADMIN


def test_a_member_whom_a_file_deactivates_is_signed_out_for_good(
    admin: FlaskClient, app: Flask, services: Services, db: Database
) -> None:
    theirs = signed_in(app, services, SUZUKI)
    for active in ("no", "yes"):
        file = f"email,name,active\n{SUZUKI},鈴木 一郎,{active}\n"
        import_file(services, "members", file.encode(), now=NOW)
    assert member(db, SUZUKI).active
    assert theirs.get("/settings").status_code == 302


def test_a_first_import_needs_no_admin(services: Services, db: Database) -> None:
    file = f"{HEADER}\na@example.jp,A,member,,,,,,,,,,yes\n"
    assert import_file(services, "members", file.encode(), now=NOW).added == 1


# --- pages that lay open ------------------------------------------------------------------------


def fields(page: str, form_of: str) -> dict[str, str]:
    """The named form as a browser sends it when nobody touches a field."""
    form = next(one for one in re.findall(r"(?s)<form.*?</form>", page) if form_of in one)
    sent: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = re.search(r'name="([^"]+)"', tag), re.search(r'value="([^"]*)"', tag)
        assert name
        if 'type="radio"' not in tag or " checked" in tag:
            sent[name[1]] = html.unescape(value[1]) if value else ""
    for name_, options in re.findall(r'(?s)<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', form):
        chosen = re.findall(r'<option value="([^"]*)" selected', options)
        sent[name_] = chosen[0] if chosen else ""
    return sent


def test_a_member_page_that_lay_open_restores_no_role_that_was_taken_away(
    admin: FlaskClient, services: Services, db: Database, team: People
) -> None:
    path = f"/admin/members/{team.tanaka.id}"
    changes.set_member(services, TANAKA, {"role": "admin", "manager": ""}, "test", NOW)
    stale = fields(admin.get(path).text, 'name="name"')
    assert stale["role"] == "admin"
    changes.set_member(services, TANAKA, {"role": "member", "notify_at": "10:00"}, "test", NOW)
    answer = post(admin, path, **stale | {"name": "田中 みさき"})
    assert answer.status_code == 303
    now_is = member(db, TANAKA)
    assert (now_is.name, now_is.role) == ("田中 みさき", "member")
    assert now_is.notify_at == time(10)


def test_a_field_that_somebody_else_changed_meanwhile_is_named_and_not_overwritten(
    admin: FlaskClient, services: Services, db: Database, team: People
) -> None:
    path = f"/admin/members/{team.tanaka.id}"
    stale = fields(admin.get(path).text, 'name="name"')
    changes.set_member(services, TANAKA, {"role": "admin", "notify_at": "10:00"}, "test", NOW)
    answer = post(admin, path, **stale | {"role": "lead", "name": "田中 みさき"})
    assert answer.status_code == 409
    assert "「管理者」に変わっています" in answer.text
    assert (member(db, TANAKA).name, member(db, TANAKA).role) == ("田中 美咲", "admin")
    again = fields(answer.text, 'name="name"')  # who sends it once more has seen it
    assert (again["role"], again["name"], again["notify_at"]) == ("lead", "田中 みさき", "10:00")
    assert post(admin, path, **again).status_code == 303
    assert (member(db, TANAKA).name, member(db, TANAKA).role) == ("田中 みさき", "lead")
    assert member(db, TANAKA).notify_at == time(10)


def test_defaults_and_teams_that_changed_meanwhile_are_named_and_not_overwritten(
    admin: FlaskClient, services: Services, db: Database, config: Config
) -> None:
    stale = fields(admin.get("/admin/settings").text, 'name="notify_at"')
    defaults.set_settings(services, {"notify_at": "10:00", "weekend": "fri,sat"}, "test", NOW)
    answer = post(admin, "/admin/settings", **stale | {"notify_at": "08:30", "locale": "en"})
    assert answer.status_code == 409
    assert "「10:00」に変わっています" in answer.text
    with db.read() as session:
        held = organisation(session, config)
        team_id = session.scalars(select(Team.id).where(Team.name == "開発")).one()
    assert (held.notify_at, held.weekend, held.locale) == (time(10), "fri,sat", "ja")
    assert (
        post(admin, "/admin/settings", **fields(answer.text, 'name="notify_at"')).status_code == 303
    )
    with db.read() as session:
        held = organisation(session, config)
    assert (held.notify_at, held.weekend, held.locale) == (time(8, 30), "fri,sat", "en")

    stale = {"was.name": "開発"}
    teams.rename_team(services, team_id, "製品", "test", NOW)
    path = f"/admin/teams/{team_id}"
    assert post(admin, path, **stale, name="開発").status_code == 303
    answer = post(admin, path, **stale, name="技術")
    assert answer.status_code == 409
    assert "「製品」に変わっています" in answer.text


def test_a_suppression_is_shown_and_lifted(admin: FlaskClient, db: Database, team: People) -> None:
    with db.write() as session:
        session.get_one(Member, team.suzuki.id).suppressed_reason = "550 5.1.1 no such user"
    path = f"/admin/members/{team.suzuki.id}"
    assert "550 5.1.1 no such user" in admin.get(path).text
    assert SUZUKI in admin.get("/admin/members?state=suppressed").text
    post(admin, path, suppressed="no")
    assert member(db, SUZUKI).suppressed_reason is None


def test_an_address_is_changed_and_the_old_one_is_told(
    admin: FlaskClient, db: Database, team: People
) -> None:
    path = f"/admin/members/{team.suzuki.id}"
    fields = {"was": SUZUKI, "to": "suzuki.i@example.jp"}
    answer = post(admin, f"{path}/address", **fields)
    assert answer.location == f"{path}?done=renamed"
    assert post(admin, f"{path}/address", **fields).location == answer.location, "a second click"
    assert member(db, "suzuki.i@example.jp").id == team.suzuki.id
    with db.read() as session:
        told = session.scalars(
            select(OutboxMail.to_addr).where(OutboxMail.kind == Kind.ADDRESS_CHANGED)
        )
        assert told.all() == [SUZUKI]
    assert noted(db) == ["member.rename_address"]
    assert "アドレスを変えました" in admin.get(answer.location).text


@pytest.mark.parametrize(
    ("to", "said"),
    [(TANAKA, "このアドレスのメンバーがほかにいます"), (SUZUKI, "いまと同じアドレスです"),
     ("a@@b", "アドレス"), ("", "")],
)  # fmt: skip
def test_an_address_that_cannot_be_taken_is_refused_and_stays_on_the_form(
    admin: FlaskClient, db: Database, team: People, to: str, said: str
) -> None:
    answer = post(admin, f"/admin/members/{team.suzuki.id}/address", was=SUZUKI, to=to)
    assert answer.status_code == 422
    assert 'id="f-to-error"' in answer.text
    assert said in answer.text
    assert f'value="{to}"' in answer.text
    assert member(db, SUZUKI).id == team.suzuki.id


def test_a_task_is_added_and_passed_on(admin: FlaskClient, db: Database, team: People) -> None:
    path = f"/admin/members/{team.suzuki.id}"
    bad = post(admin, f"{path}/tasks", ref="T-1", title="", start_on="x", report_every="daily")
    assert bad.status_code == 422
    assert bad.text.count('class="error"') == 3
    post(admin, f"{path}/tasks", ref="T-9", title="新しい仕事", start_on="2026-11-24",
         due_on="", report_every="weekly")  # fmt: skip
    nobody = post(admin, f"{path}/pass-on", ref="T-9", email="nobody@example.jp")
    assert nobody.status_code == 422
    post(admin, f"{path}/pass-on", ref="T-9", email=TANAKA)
    with db.read() as session:
        moved = session.scalars(select(Task).where(Task.ref == "T-9")).one()
    assert (moved.assignee_id, moved.assigned_on) == (team.tanaka.id, TODAY)
    assert post(admin, f"{path}/pass-on", ref="T-9", email=TANAKA).status_code == 404
    assert noted(db) == ["task.add", "task.assign"]


@pytest.mark.parametrize("path", ["", "/tasks", "/pass-on"])
def test_a_member_who_is_not_there_is_said_so(admin: FlaskClient, path: str) -> None:
    assert post(admin, f"/admin/members/999{path}", email="x").status_code == 404


# --- teams ------------------------------------------------------------------------------------


def test_teams_are_added_renamed_and_removed_when_empty(admin: FlaskClient, db: Database) -> None:
    assert post(admin, "/admin/teams", name=" 営業 ").status_code == 303
    assert post(admin, "/admin/teams", name="営業").status_code == 422
    assert post(admin, "/admin/teams", name="  ").status_code == 422
    with db.read() as session:
        ids = dict(iter(session.execute(select(Team.name, Team.id))))
    assert post(admin, f"/admin/teams/{ids['営業']}", name="販売").status_code == 303
    full = post(admin, f"/admin/teams/{ids['開発']}", name="開発", action="remove")
    assert full.status_code == 422
    assert post(admin, f"/admin/teams/{ids['営業']}", name="", action="remove").status_code == 303
    assert post(admin, f"/admin/teams/{ids['営業']}", name="x").status_code == 404
    assert noted(db) == ["team.add", "team.rename", "team.remove"]


def test_many_teams_come_page_by_page(admin: FlaskClient, db: Database) -> None:
    with db.write() as session:
        session.add_all([Team(name=f"Z{n:03}") for n in range(60)])
    first = admin.get("/admin/teams").text
    more = re.search(r'href="(/admin/teams\?after=[^"]+)"', first)
    assert more is not None
    rest = admin.get(more[1]).text
    on_each = [re.findall(r"<strong>(.+?)</strong>", page) for page in (first, rest)]
    assert len(on_each[0]) == 50
    assert sorted(on_each[0] + on_each[1]) == on_each[0] + on_each[1]
    assert {f"Z{n:03}" for n in range(60)} <= {*on_each[0], *on_each[1]}


# --- the organisation's defaults ----------------------------------------------------------------


def test_every_default_is_on_the_page_and_is_changed_at_once(
    admin: FlaskClient, services: Services, db: Database, config: Config
) -> None:
    page = admin.get("/admin/settings").text
    for key in values.ORGANISATION:
        assert f'name="{key}"' in page
    same = {"was.notify_at": "09:00", "notify_at": "09:00"}
    post(
        admin,
        "/admin/settings",
        notify_at="08:30",
        weekend="fri,sat",
        **{"was.notify_at": "09:00", "was.weekend": "sat,sun"},
    )
    with db.read() as session:
        held = organisation(session, config)
    assert (f"{held.notify_at:%H:%M}", held.weekend) == ("08:30", "fri,sat")
    assert f"変更: {SATO}" in admin.get("/admin/settings").text
    # A form that was open meanwhile takes back nothing that it did not change.
    assert "changed=" not in post(admin, "/admin/settings", **same).location
    assert noted(db) == ["settings.set", "settings.set"]


def test_who_keeps_a_value_of_their_own_is_named_and_all_may_have_the_organisations(
    admin: FlaskClient, db: Database
) -> None:
    with db.write() as session:
        session.execute(update(Member).values(dict.fromkeys(values.MEMBER_SETTINGS)))
    assert "自分の値を使っているメンバー" not in admin.get("/admin/settings").text
    with db.write() as session:
        session.execute(update(Member).values(notify_at=time(8, 15)))
        find(session, TANAKA).active = False
    page = html.unescape(admin.get("/admin/settings").text)
    own = page[page.index("自分の値を使っているメンバー") :]
    assert "2人" in own
    assert SUZUKI in own
    assert "08:15" in own
    assert TANAKA not in own
    answer = post(admin, "/admin/settings/for-everybody", key="notify_at")
    assert "全員に組織の値が使われます" in admin.get(answer.location).text
    assert member(db, SUZUKI).notify_at is None
    assert member(db, TANAKA).notify_at == time(8, 15), "who is not active is left alone"
    assert post(admin, "/admin/settings/for-everybody", key="name").status_code == 303
    assert member(db, SUZUKI).name == "鈴木 一郎"


def test_of_many_with_a_value_of_their_own_five_are_named(
    admin: FlaskClient, services: Services
) -> None:
    for n in range(7):
        typed = {"email": f"m{n}@example.jp", "name": "M"}
        changes.add_member(services, typed, "test", clock.now())
        changes.set_member(services, typed["email"], {"locale": "en"}, "test", clock.now())
    page = html.unescape(admin.get("/admin/settings").text)
    counted = re.search(r"言語: (\d+)人", page)
    assert counted is not None
    assert f"ほか{int(counted[1]) - 5}人" in page


def test_a_default_that_makes_no_sense_is_refused_and_kept_on_the_form(admin: FlaskClient) -> None:
    page = post(admin, "/admin/settings", notify_at="9:5", timezone="JST")
    assert page.status_code == 422
    assert 'value="9:5"' in page.text
    assert "Asia/Tokyo ではありませんか" in page.text


def test_a_name_typed_of_parts_is_kept_and_found_as_one(admin: FlaskClient, db: Database) -> None:
    whole, parts = "永山 がく", "永山 か\u3099く"
    post(admin, "/admin/members/new", email="gaku@example.jp", name=parts, role="member")
    assert member(db, "gaku@example.jp").name == whole
    assert whole in admin.get("/admin/members", query_string={"search": parts}).text


# --- days off -----------------------------------------------------------------------------------


def test_the_name_of_a_day_off_typed_of_parts_is_kept_as_one(
    services: Services, team: People
) -> None:
    days = Span(date(2026, 12, 25), date(2026, 12, 25), "か\u3099っきゅうひ")
    assert [one.name for one in LEAVE.add(services, SUZUKI, days, "x", NOW)] == ["がっきゅうひ"]


def test_closures_and_leave_are_added_shown_and_removed(
    admin: FlaskClient, services: Services, db: Database
) -> None:
    post(admin, "/admin/days-off", action="add", first="2026-12-29", last="2027-01-04",
         name="年末年始")  # fmt: skip
    post(admin, "/admin/days-off", action="add", email=SUZUKI, first="2026-11-30")
    page = admin.get("/admin/days-off").text
    assert "2026年12月29日(火)〜2027年1月4日(月)" in page
    assert "2026年11月30日(月)" in page
    assert LEAVE.owned(services, SUZUKI) == [Span(date(2026, 11, 30), date(2026, 11, 30))]
    post(admin, "/admin/days-off", action="remove", first="2026-12-29", last="2027-01-04")
    assert LEAVE.owned(services, None, TODAY) == []
    again = post(admin, "/admin/days-off", action="remove", first="2026-12-29")
    assert again.status_code == 303  # it is as it should be
    assert noted(db) == ["closure.add", "leave.add", "closure.remove"]


def test_extra_workdays_are_added_shown_and_removed(
    admin: FlaskClient, services: Services, db: Database
) -> None:
    saturday = {"kind": "workday", "first": "2026-12-05"}
    post(admin, "/admin/days-off", action="add", name="土曜出勤日", **saturday)
    post(admin, "/admin/days-off", action="add", email=SUZUKI, kind="workday", first="2026-12-12",
         last="2026-12-13")  # fmt: skip
    page = admin.get("/admin/days-off").text
    assert "2026年12月5日(土)" in page
    assert "土曜出勤日</span>" in page
    assert "2026年12月12日(土)〜12月13日(日)" in page
    seen = admin.get(f"/admin/members/{member(db, SUZUKI).id}").text
    assert "12月12日(土)" in seen
    assert LEAVE.owned(services, None, TODAY) == []
    post(admin, "/admin/days-off", action="remove", **saturday)
    again = post(admin, "/admin/days-off", action="remove", **saturday)
    assert again.status_code == 303  # it is as it should be
    assert WORKDAYS.owned(services, None) == []
    assert noted(db) == ["workday.add", "workday.add", "workday.remove"]


def test_a_workday_on_a_closed_day_is_refused_with_what_to_do(
    admin: FlaskClient, db: Database
) -> None:
    post(admin, "/admin/days-off", action="add", first="2026-12-29", last="2027-01-04")
    page = post(admin, "/admin/days-off", action="add", kind="workday", first="2026-12-30")
    assert page.status_code == 422
    assert "先に休業日を取り消してください" in page.text
    assert 'value="workday" checked' in page.text
    assert noted(db) == ["closure.add"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"kind": "workday", "first": "2026-12-05", "last": "until-further-notice"}, "最後の日が必要"),
     ({"first": "明日"}, "日付として読めません"), ({"first": "2026-11-24", "last": "2026-11-20"}, "より前"),
     ({"first": "2026-11-24", "email": "nobody@example.jp"}, "というメンバーはいません"),
     ({"first": "2026-11-24", "name": "x" * 201}, "200文字")],
)  # fmt: skip
def test_days_off_that_make_no_sense_are_refused(
    admin: FlaskClient, db: Database, fields: dict[str, str], said: str
) -> None:
    page = post(admin, "/admin/days-off", action="add", **fields)
    assert page.status_code == 422
    assert said in page.text
    assert noted(db) == []


def test_what_cannot_be_removed_is_said_in_the_form_that_removes(admin: FlaskClient) -> None:
    page = post(admin, "/admin/days-off", action="remove", first="明日", email=SUZUKI).text
    assert re.search(r'id="remove-first"[^>]* aria-invalid="true"', page)
    assert f'id="remove-email" name="email" type="email" value="{SUZUKI}"' in page
    assert not re.search(r'id="add-first"[^>]* aria-invalid', page)


# --- import -------------------------------------------------------------------------------------


def kept(db: Database) -> int:
    """How many files are."""
    with db.read() as session:
        return session.scalar(select(func.count()).select_from(Upload)) or 0


def upload(
    browser: FlaskClient, text: str | bytes, what: str = "members", name: str = "名簿.csv"
) -> TestResponse:
    """Chooses a file and asks what it would do."""
    data = text.encode() if isinstance(text, str) else text
    form = {"what": what, "file": (io.BytesIO(data), name)}
    return browser.post(
        "/admin/import", data=form, headers=OURS, content_type="multipart/form-data"
    )


LINES = (
    f"{HEADER}\n"
    f"{SUZUKI},鈴木 次郎,member,営業,{SATO},ja,,,,,,,yes\n"
    f"{TANAKA},田中 美咲,member,開発,{SATO},ja,,,,,,,yes\n"
    f"new@example.jp,新人 太郎,member,開発,{SUZUKI},ja,,,,,,,yes\n"
)


def test_a_file_of_more_lines_than_a_page_takes_is_refused_with_what_takes_it(
    admin: FlaskClient, db: Database
) -> None:
    page = upload(admin, f"{HEADER}\n" + "\n" * (MOST_LINES + 2))
    assert page.status_code == 422
    assert "20,000行まで" in page.text
    assert "task-progress import" in page.text


def test_a_preview_shows_each_line_and_writes_nothing(admin: FlaskClient, db: Database) -> None:
    answer = upload(admin, LINES)
    assert answer.status_code == 303
    page = admin.get(answer.location).text
    assert "<del>鈴木 一郎</del> → <ins>鈴木 次郎</ins>" in page
    assert "<del>開発</del> → <ins>営業</ins>" in page
    assert "new@example.jp" in page
    for verdict, key in (("changed", SUZUKI), ("unchanged", TANAKA), ("new", "new@example.jp")):
        only = admin.get(f"{answer.location}?show={verdict}").text
        assert [one for one in (SUZUKI, TANAKA, "new@example.jp") if f"\n{one}" in only] == [key]
    assert "ファイルにないメンバー1人" in page
    assert member(db, SUZUKI).name == "鈴木 一郎"
    assert noted(db) == []


def test_what_the_preview_said_is_written_once(admin: FlaskClient, db: Database) -> None:
    path = upload(admin, LINES).location
    answer = post(admin, path, action="write")
    assert "added=1" in answer.location
    assert "changed=1" in answer.location
    assert "追加 1、変更 1、変更なし 1" in admin.get(answer.location).text
    assert member(db, SUZUKI).name == "鈴木 次郎"
    twice = post(admin, path, action="write")
    assert "done=gone" in twice.location
    assert admin.get(path).status_code == 404
    assert sorted(noted(db)) == ["import.members.add", "import.members.change"]


def test_one_bad_line_is_shown_beside_what_the_good_ones_would_do(
    admin: FlaskClient, db: Database
) -> None:
    path = upload(admin, LINES + "a@@b,,member,,,,,,25:00,,,,yes\n").location
    page = admin.get(path).text
    assert "1行に直すところがある" in page
    assert "<ins>鈴木 次郎</ins>" in page
    faulty = admin.get(f"{path}?show=faulty").text
    assert faulty.count("<strong>") == 3  # every fault of the line
    assert 'value="write"' not in page
    answer = post(admin, path, action="write")  # whoever sends the form nevertheless
    assert "moved" in answer.location
    assert member(db, SUZUKI).name == "鈴木 一郎"
    assert noted(db) == []


def test_a_preview_that_is_no_longer_true_is_shown_anew_and_nothing_is_written(
    admin: FlaskClient, services: Services, db: Database
) -> None:
    path = upload(admin, LINES).location
    changes.set_member(services, SUZUKI, {"name": "鈴木 三郎"}, "test", clock.now())
    answer = post(admin, path, action="write")
    page = admin.get(answer.location).text
    assert "データが変わった" in page
    assert "<del>鈴木 三郎</del> → <ins>鈴木 次郎</ins>" in page
    assert member(db, SUZUKI).name == "鈴木 三郎"
    assert "done=imported" in post(admin, path, action="write").location
    assert member(db, SUZUKI).name == "鈴木 次郎"


def test_a_file_that_cannot_be_read_is_refused_with_advice(admin: FlaskClient) -> None:
    for data, said in ((LINES.encode("utf-16-le"), "UTF-16"), (b"", "空です"),
                       (b"email;nam\n", "足りない列: name")):  # fmt: skip
        page = upload(admin, data)
        assert page.status_code == 422
        assert said in page.text
    assert "ファイルを選んでください" in post(admin, "/admin/import", what="members").text


def test_a_file_from_japanese_excel_is_read_and_says_so(admin: FlaskClient) -> None:
    path = upload(admin, LINES.replace("新人 太郎", "髙橋 ①").encode("cp932")).location
    page = admin.get(path).text
    assert "cp932" in page


@pytest.mark.parametrize(
    ("what", "text", "shown"),
    [
        ("tasks", ("ref,title,assignee_email,status,start_on,due_on,report_every\n"
         f"T-1,別の題名,{TANAKA},open,2026-11-02,,daily\n"),
         [f"<del>{SUZUKI}</del> → <ins>{TANAKA}</ins>", "<ins>別の題名</ins>"]),
        ("reports", ("task_ref,reporter_email,reported_on,percent,status,text\n"
         f"T-1,{SUZUKI},2026-11-20,50,on_track,=cmd()\n"), [f"T-1, {SUZUKI}, 2026-11-20"]),
        ("days-off", ("scope,email,first_day,last_day,name\n"
         "company,,2026-12-29,2027-01-04,年末年始\n"), ["年末年始, 2026-12-29 – 2027-01-04"]),
    ],
)  # fmt: skip
def test_every_kind_of_file_has_its_preview(
    admin: FlaskClient, what: str, text: str, shown: list[str]
) -> None:
    path = upload(admin, text, what).location
    page = admin.get(path).text
    assert all(one in page for one in shown)
    assert "done=imported" in post(admin, path, action="write").location
    again = admin.get(upload(admin, text, what).location).text
    assert "変更なしで終える" in again  # a second run changes nothing


def test_a_kept_file_is_its_admins_alone_and_is_dropped_after_a_day(
    admin: FlaskClient,
    app: Flask,
    services: Services,
    db: Database,
    travel: time_machine.Traveller,
) -> None:
    path = upload(admin, LINES).location
    changes.set_member(services, TANAKA, {"role": "admin"}, "test", clock.now())
    other = signed_in(app, services, TANAKA)
    assert other.get(path).status_code == 404
    assert "done=gone" in post(other, path, action="write").location
    post(admin, path, action="drop")
    assert kept(db) == 0
    missing = admin.get(path).text
    path = upload(admin, LINES).location
    travel.shift(uploads.KEPT_FOR + timedelta(minutes=1))
    late = admin.get(path)
    assert (late.status_code, late.text) == (404, missing)
    assert "done=gone" in post(admin, path, action="write").location
    assert member(db, SUZUKI).name == "鈴木 一郎"
    upload(admin, LINES)
    tick.run(services, clock.now())
    assert kept(db) == 1  # the one of today


def test_a_kept_file_goes_by_a_tick_though_nobody_chooses_another(
    admin: FlaskClient, services: Services, db: Database
) -> None:
    upload(admin, LINES)
    tick.run(services, NOW + uploads.KEPT_FOR)
    assert kept(db) == 1
    tick.run(services, NOW + uploads.KEPT_FOR + timedelta(minutes=1))
    assert kept(db) == 0


def test_the_name_of_a_file_is_kept_without_what_cannot_be_seen(
    admin: FlaskClient, db: Database
) -> None:
    page = admin.get(upload(admin, LINES, name="名\0簿\u202e.csv").location).text
    assert "名簿.csv" in page


def test_a_large_file_is_shown_page_by_page(admin: FlaskClient) -> None:
    many = "".join(f"n{n}@example.jp,N {n},member,,,,,,,,,,yes\n" for n in range(230))
    path = upload(admin, f"{HEADER}\n{many}").location
    first = admin.get(path)
    assert len(first.data) < 150_000
    assert "start=100" in first.text
    last = admin.get(f"{path}?start=200").text
    assert "n229@example.jp" in last
    assert "n199@example.jp" not in last


def test_everything_that_is_noted_has_words(admin: FlaskClient, db: Database) -> None:
    upload_path = upload(admin, LINES).location
    post(admin, upload_path, action="write")
    with db.read() as session:
        assert set(session.scalars(select(Audit.what))) <= set(WHAT)
