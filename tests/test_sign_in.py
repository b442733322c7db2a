"""Signing in by a mailed link, staying signed in, signing out: on both databases."""

import contextlib
import io
import logging
import re
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from app import clock, create_app, outbox
from app.access import sessions
from app.config import load
from app.db import Database
from app.members import sign_in
from app.members.changes import set_member
from app.models import Audit, Kind, Member, OutboxMail, Role, SignInLink, WebSession
from app.outbox import NotPossible
from app.refused import Code, Refused
from app.services import Services, make
from app.web import csrf
from tests.conftest import NOW, People
from tests.databases import on_sqlite
from tests.servers import wait_until

pytestmark = pytest.mark.pages

SUZUKI = "suzuki.ichiro@example.jp"


Open = Callable[..., FlaskClient]


@pytest.fixture
def open_with(environ: dict[str, str], travel: time_machine.Traveller) -> Iterator[Open]:
    """`open_with(SECRET_KEY=…)`: a browser at the same pages with other settings."""
    with contextlib.ExitStack() as stack:

        def opened(**values: str) -> FlaskClient:
            config = load({**environ, **values})
            made = make(config)
            stack.callback(made.db.close)
            return create_app(config, made).test_client()

        yield opened


@pytest.fixture
def browser(app: Flask, team: People) -> FlaskClient:
    """A browser that keeps cookies."""
    return app.test_client()


def token_of(page: TestResponse) -> str:
    """The form's token."""
    return str(re.findall(r'name="csrf_token" value="([^"]+)"', page.text)[0])


def link_for(services: Services, email: str = SUZUKI, next_path: str = "/") -> str:
    """The path of a fresh sign-in link."""
    sign_in.ask(services, email, next_path, clock.now())
    with services.db.read() as session:
        newest = session.scalars(select(SignInLink).order_by(SignInLink.id.desc())).first()
        assert newest is not None
        return services.links.sign_in_url(newest.id).removeprefix(services.config.app_base_url)


def enter(browser: FlaskClient, path: str) -> TestResponse:
    """Opens the link and presses its button."""
    return browser.post(path, data={"csrf_token": token_of(browser.get(path))})


def asked_mails(db: Database) -> list[OutboxMail]:
    with db.read() as session:
        query = select(OutboxMail).where(OutboxMail.kind == Kind.SIGN_IN).order_by(OutboxMail.id)
        return list(session.scalars(query))


def events(db: Database) -> list[str]:
    with db.read() as session:
        return list(session.scalars(select(Audit.what).order_by(Audit.id)))


# --- asking ------------------------------------------------------------------------------------


def test_a_member_gets_a_link_by_mail_that_ends_after_15_minutes(
    browser: FlaskClient, db: Database
) -> None:
    answer = browser.post("/login", data={"email": "Suzuki.Ichiro@example.jp", "next": "/settings"})
    assert answer.status_code == 200
    wait_until(lambda: asked_mails(db), "the mail")
    (mail,) = asked_mails(db)
    assert mail.to_addr == SUZUKI
    assert mail.not_before == NOW
    assert mail.expires_at == NOW + timedelta(minutes=15)


def test_nobody_learns_whether_an_address_is_known(browser: FlaskClient, db: Database) -> None:
    unknown = browser.post("/login", data={"email": "nobody@example.jp"})
    known = browser.post("/login", data={"email": SUZUKI})
    assert unknown.status_code == known.status_code == 200
    assert unknown.text.replace("nobody@example.jp", SUZUKI) == known.text
    wait_until(lambda: asked_mails(db), "the mail")  # asked for last: the other one is done too
    assert len(asked_mails(db)) == 1


def test_the_answer_takes_the_same_time_for_known_and_unknown_addresses(
    browser: FlaskClient, db: Database, travel: time_machine.Traveller
) -> None:
    took: dict[bool, list[float]] = {True: [], False: []}
    for n in range(25):
        travel.shift(61)
        # In pairs, so that either kind comes after either: what goes on beside an answer may
        # delay the next one, whosever that is.
        for number, known in enumerate((True, True, False, False)):
            people = (SUZUKI, "tanaka.misaki@example.jp", f"a{n}@example.jp", f"b{n}@example.jp")
            start = time.perf_counter()
            browser.post("/login", data={"email": people[number]})
            took[known].append(time.perf_counter() - start)
    fast, slow = sorted(statistics.median(some) for some in took.values())
    assert slow < 1.5 * fast
    assert asked_mails(db)  # the work was really done beside


def test_a_deactivated_member_gets_no_link(
    browser: FlaskClient, services: Services, db: Database
) -> None:
    set_member(services, SUZUKI, {"active": "no"}, "test", NOW)
    sign_in.ask(services, SUZUKI, "/", NOW)
    assert asked_mails(db) == []


def test_twenty_requests_for_one_address_are_one_mail_a_minute(
    browser: FlaskClient, services: Services, db: Database, travel: time_machine.Traveller
) -> None:
    answers = {browser.post("/login", data={"email": SUZUKI}).text for _ in range(20)}
    assert len(answers) == 1
    wait_until(lambda: asked_mails(db), "the mail")
    sign_in.ask(services, SUZUKI, "/", clock.now())
    assert len(asked_mails(db)) == 1
    travel.shift(61)
    sign_in.ask(services, SUZUKI.upper(), "/", clock.now())
    assert len(asked_mails(db)) == 2


def test_a_person_gets_5_sign_in_mails_an_hour_and_10_a_day(
    services: Services, db: Database, team: People, travel: time_machine.Traveller
) -> None:
    sent = []
    for _ in range(25 * 12):  # somebody asks every 5 minutes, under whatever spelling
        sign_in.ask(services, SUZUKI.upper(), "/", clock.now())
        sent.append(len(asked_mails(db)))
        travel.shift(5 * 60)
    assert (sent[4], sent[11], sent[12], sent[16], sent[23 * 12]) == (5, 5, 6, 10, 10)
    assert sent[-1] > 10  # and the next day again
    sign_in.ask(services, "tanaka.misaki@example.jp", "/", clock.now())
    assert asked_mails(db)[-1].to_addr == "tanaka.misaki@example.jp"  # others are not concerned


def test_eight_who_ask_at_once_are_one_mail(services: Services, db: Database, team: People) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: sign_in.ask(services, SUZUKI, "/", NOW), range(8)))
    assert len(asked_mails(db)) == 1


def test_a_mail_made_while_the_clock_was_ahead_keeps_nobody_from_a_link(
    services: Services, db: Database, team: People
) -> None:
    for ahead in (timedelta(days=90), timedelta()):
        sign_in.ask(services, SUZUKI, "/", NOW + ahead)
    assert len(asked_mails(db)) == 2


def test_a_machine_whose_clock_is_a_little_behind_counts_the_mails_of_the_others(
    services: Services, db: Database, team: People
) -> None:
    for ahead in (timedelta(seconds=30), timedelta()):
        sign_in.ask(services, SUZUKI, "/", NOW + ahead)
    assert len(asked_mails(db)) == 1


def may_ask(services: Services, address: str) -> bool:
    """Whether this many from there are not too many."""
    try:
        sign_in.refuse_too_many(services, address)
    except Refused as refused:
        return refused.code is not Code.TOO_MANY_SIGN_INS
    return True


def test_an_ipv6_network_is_one_place_whatever_the_address_in_it(services: Services) -> None:
    def asked(address: str) -> bool:
        return may_ask(services, address)

    assert all(asked(f"2001:db8:1:2:{n:x}::1") for n in range(60))
    assert not asked("2001:db8:1:2:ffff:ffff:ffff:ffff")
    assert asked("2001:db8:1:3::1")
    assert all(asked(f"::ffff:192.0.2.{n}") for n in range(70))  # IPv4 in another coat
    assert all(asked("192.0.2.1") for _ in range(59))
    assert not asked("::ffff:192.0.2.1")


def test_a_thousand_requests_from_one_place_are_slowed_down(
    browser: FlaskClient, db: Database
) -> None:
    codes = [
        browser.post("/login", data={"email": f"someone{n}@example.jp"}).status_code
        for n in range(1000)
    ]
    assert codes.count(200) == 60
    assert codes.count(429) == 940
    slow = browser.post("/login", data={"email": SUZUKI})
    assert slow.headers["Retry-After"] == "60"
    elsewhere = browser.post(
        "/login", data={"email": SUZUKI}, headers={"X-Forwarded-For": "6.6.6.6, 192.0.2.7"}
    )
    assert elsewhere.status_code == 200  # the proxy on this machine says whom it speaks for


def test_without_redis_the_limits_hold_in_this_process(
    environ: dict[str, str], db: Database, team: People, travel: time_machine.Traveller
) -> None:
    environ = {**environ, "CELERY_BROKER_URL": "redis://127.0.0.1:9/0"}
    environ.pop("CELERY_RESULT_BACKEND")
    lonely = make(load(environ))
    for _ in range(3):
        sign_in.ask(lonely, SUZUKI, "/", NOW)
    assert len(asked_mails(db)) == 1
    assert sum(may_ask(lonely, "192.0.2.1") for _ in range(100)) == 60
    lonely.db.close()


@pytest.mark.parametrize(
    "email",
    [
        "", "   ", "suzuki", "a@b@c", "suzuki.ichiro@example.jp\0", "\0@example.jp",
        "suzuki.ichiro@example.jp\r\nBcc: x@example.jp", "a@example.jp, b@example.jp",
        "ｓｕｚｕｋｉ＠ｅｘａｍｐｌｅ．ｊｐ", "a" * 65 + "@example.jp",
    ],
)  # fmt: skip
def test_what_is_no_address_is_said_so_and_mails_nobody(
    browser: FlaskClient, db: Database, email: str
) -> None:
    answer = browser.post("/login", data={"email": email})
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert asked_mails(db) == []


@pytest.mark.parametrize(
    "path", ["https://evil.example/", "//evil.example", "/\\evil.example", "/a\r\nX: y", "x", ""]
)
def test_nobody_is_sent_elsewhere_after_signing_in(
    browser: FlaskClient, services: Services, path: str
) -> None:
    page = browser.get("/login", query_string={"next": path})
    assert 'name="next" value="/"' in page.text


# --- the link -----------------------------------------------------------------------------------


def test_the_link_signs_in_once_and_by_its_button_alone(
    browser: FlaskClient, services: Services, db: Database
) -> None:
    path = link_for(services, next_path="/settings")
    for _ in range(3):  # a scanner
        assert browser.get(path).status_code == browser.head(path).status_code == 200
    with db.read() as session:
        assert session.scalars(select(WebSession)).all() == []
    assert "鈴木 一郎" in browser.get(path).text
    answer = enter(browser, path)
    assert (answer.status_code, answer.location) == (302, "/settings")
    assert "鈴木" not in browser.get(path).text
    assert browser.post(path, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 410
    assert "sign_in.asked" in events(db)
    assert "session.begin" in events(db)


def test_a_link_ends_after_15_minutes(
    browser: FlaskClient, services: Services, travel: time_machine.Traveller
) -> None:
    path = link_for(services)
    travel.shift(15 * 60)
    page = browser.get(path)
    assert page.status_code == 410
    assert "期限" in page.text


def test_a_link_made_while_the_clock_was_ahead_signs_nobody_in(
    browser: FlaskClient, services: Services, travel: time_machine.Traveller
) -> None:
    travel.shift(timedelta(days=90))
    path = link_for(services)
    for back, status in ((timedelta(seconds=30), 200), (timedelta(days=30), 410)):
        travel.shift(-back)
        assert browser.get(path).status_code == status


def test_a_link_that_was_changed_signs_nobody_in(browser: FlaskClient, services: Services) -> None:
    path = link_for(services)
    assert browser.get(path[:-2] + "xx").status_code == 410
    assert browser.get("/login/nonsense").status_code == 410


def test_another_site_cannot_sign_this_browser_in(
    browser: FlaskClient, services: Services, db: Database
) -> None:
    path = link_for(services)
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {},
    ):
        assert browser.post(path, headers=headers).status_code == 403
    with db.read() as session:
        assert session.scalars(select(WebSession)).all() == []


def test_the_mails_source_is_shown_to_no_operator_and_not_sent_again(
    browser: FlaskClient, services: Services, db: Database
) -> None:
    link_for(services)
    (mail,) = asked_mails(db)
    outbox.cancel(services, mail.id, who="test", now=NOW)
    assert outbox.show(services, mail.id)["source"] is None
    with pytest.raises(NotPossible):
        outbox.resend(services, mail.id, who="test", now=NOW)


# --- sessions -----------------------------------------------------------------------------------


@pytest.fixture
def inside(browser: FlaskClient, services: Services) -> FlaskClient:
    """鈴木さん, signed in."""
    enter(browser, link_for(services))
    return browser


def is_inside(browser: FlaskClient) -> bool:
    answer = browser.get("/settings")
    assert answer.status_code == 200 or answer.location.startswith("/login?next=")
    return answer.status_code == 200


def test_the_cookie_is_for_this_site_alone(
    open_with: Open, services: Services, team: People
) -> None:
    browser = open_with(APP_BASE_URL="https://progress.example.jp")
    path = link_for(services)
    base = "https://progress.example.jp"
    page = browser.get(path, base_url=base)
    before = page.headers["Set-Cookie"]
    answer = browser.post(path, data={"csrf_token": token_of(page)}, base_url=base)
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-session=")
    assert cookie.split(";")[0] != before.split(";")[0]  # a new one: nobody knew it before
    for mark in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert mark in cookie
    assert "Domain" not in cookie


def test_signing_out_ends_this_browser_alone(
    app: Flask, inside: FlaskClient, services: Services, travel: time_machine.Traveller
) -> None:
    travel.shift(61)
    other = app.test_client()
    enter(other, link_for(services))
    kept = inside.get_cookie("session")
    assert kept is not None
    inside.post("/logout", headers={"Sec-Fetch-Site": "same-origin"})
    assert not is_inside(inside)
    inside.set_cookie("session", kept.value)
    assert not is_inside(inside)  # a copy of the cookie is worth nothing either
    assert is_inside(other)


def test_signing_out_everywhere_ends_all_browsers(
    app: Flask, inside: FlaskClient, services: Services, db: Database,
    travel: time_machine.Traveller,
) -> None:  # fmt: skip
    travel.shift(61)
    other = app.test_client()
    enter(other, link_for(services))
    inside.post("/logout/everywhere", headers={"Sec-Fetch-Site": "same-origin"})
    assert not is_inside(inside)
    assert not is_inside(other)
    assert "session.end_all" in events(db)


def test_signing_in_again_ends_the_session_that_this_browser_had(
    inside: FlaskClient, services: Services, db: Database, travel: time_machine.Traveller
) -> None:
    before = inside.get_cookie("session")
    assert before is not None
    travel.shift(61)
    enter(inside, link_for(services, "tanaka.misaki@example.jp"))
    after = inside.get_cookie("session")
    assert after is not None
    assert after.value != before.value
    with db.read() as session:
        assert len(session.scalars(select(WebSession.id)).all()) == 1
    inside.set_cookie("session", before.value)
    assert not is_inside(inside)  # a copy of the old cookie is worth nothing
    inside.set_cookie("session", after.value)
    assert is_inside(inside)


def test_a_session_ends_after_30_days(inside: FlaskClient, travel: time_machine.Traveller) -> None:
    travel.shift(timedelta(days=30) - timedelta(seconds=1))
    assert is_inside(inside)
    travel.shift(2)
    assert not is_inside(inside)


def test_deactivation_signs_out_for_good(
    inside: FlaskClient, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    set_member(services, SUZUKI, {"active": "no"}, "test", NOW)
    with caplog.at_level(logging.WARNING):
        assert not is_inside(inside)
    assert "session: ended elsewhere" in caplog.text
    set_member(services, SUZUKI, {"active": "yes"}, "test", NOW)
    assert not is_inside(inside)


def test_an_altered_cookie_is_signed_out_and_logged(
    inside: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    cookie = inside.get_cookie("session")
    assert cookie is not None
    inside.set_cookie("session", cookie.value[:-3] + "abc")
    with caplog.at_level(logging.WARNING):
        assert not is_inside(inside)
    assert "a cookie was refused" in caplog.text
    caplog.clear()
    assert not is_inside(inside)
    assert caplog.text == ""  # the cookie was taken away: said once


def other_spellings(signed: str) -> list[str]:
    """What a reader of base64 takes for the same signature."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = [signed[:-1] + letter for letter in letters if letter != signed[-1]]
    return [*last, signed + "=", signed[:-1] + "*" + signed[-1], signed[:-2] + " " + signed[-2:]]


def test_a_session_and_a_forms_token_have_one_spelling_alone(
    app: Flask, inside: FlaskClient
) -> None:
    cookie = inside.get_cookie("session")
    assert cookie is not None
    for other in other_spellings(cookie.value):
        stranger = app.test_client()
        stranger.set_cookie("session", other)
        assert not is_inside(stranger), other
    assert is_inside(inside)
    token = token_of(inside.get("/settings"))
    for other in [*other_spellings(token), ""]:
        typed = {"csrf_token": other, "action": "check"}
        assert inside.post("/settings", data=typed).status_code == 403, other
        headers = {"X-CSRFToken": other}  # as pages with scripts send it; ours have none
        assert (
            inside.post("/settings", data={"action": "check"}, headers=headers).status_code == 403
        )
    typed = {"csrf_token": token, "action": "check"}
    assert inside.post("/settings", data=typed).status_code == 200


def test_a_key_that_was_replaced_signs_on_and_one_that_was_removed_signs_out(
    inside: FlaskClient, environ: dict[str, str], open_with: Open
) -> None:
    cookie = inside.get_cookie("session")
    assert cookie is not None
    new = {"SECRET_KEY": "another made-up key, for tests: 0123456789 abcdef"}
    previous = {"SECRET_KEY_PREVIOUS": environ["SECRET_KEY"]}
    for more, expected in ((previous, True), ({}, False)):
        rotated = open_with(**new, **more)
        rotated.set_cookie("session", cookie.value)
        assert is_inside(rotated) is expected


# --- forms from elsewhere -----------------------------------------------------------------------

ELSEWHERE = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://other.localhost"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
    {"Origin": "https://evil.example"},
    {"Origin": "https://localhost"},  # the same host, but another scheme is another origin
    {"Origin": "http://localhost:8001"},
    {"Referer": "https://evil.example/form"},
]
# Of a browser that says nothing nobody knows.
SAY_NOTHING = [{}, {"Origin": "null"}, {"Sec-Fetch-Site": "none"}]


def test_a_form_from_elsewhere_is_refused_and_nothing_of_it_is_offered(
    inside: FlaskClient,
) -> None:
    before = inside.get_cookie("session")
    for path in ("/settings", "/logout", "/login/x", "/settings?lang=en"):
        for headers in [*ELSEWHERE, *SAY_NOTHING]:
            answer = inside.post(path, data={"notify_at": "04:44", "role": "x"}, headers=headers)
            assert answer.status_code == 403
            for offered in ("<form", "csrf_token", "04:44"):
                assert offered not in answer.text
            assert "Set-Cookie" not in answer.headers
    assert inside.get_cookie("session") == before
    assert is_inside(inside)


def test_a_browser_that_does_not_send_its_cookie_along_is_not_signed_out_by_another_site(
    inside: FlaskClient, app: Flask
) -> None:
    """SameSite=Lax holds the cookie back; an answer that set a new one would overwrite it."""
    answer = app.test_client().post("/settings", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


def test_another_site_cannot_have_sign_in_mails_sent(browser: FlaskClient, db: Database) -> None:
    for headers in ELSEWHERE:
        answer = browser.post("/login", data={"email": SUZUKI}, headers=headers)
        assert answer.status_code == 403
    assert asked_mails(db) == []


def test_a_browser_that_says_nothing_is_known_by_the_forms_token(inside: FlaskClient) -> None:
    for headers in SAY_NOTHING:
        typed = {"csrf_token": token_of(inside.get("/settings")), "action": "check"}
        assert inside.post("/settings", data=typed, headers=headers).status_code == 200


def test_an_old_browser_is_known_by_the_page_it_comes_from(inside: FlaskClient) -> None:
    assert (
        inside.post("/logout", headers={"Referer": "http://localhost/settings"}).status_code == 302
    )


# --- forms that come late -----------------------------------------------------------------------


Send = Callable[..., TestResponse]


def test_a_form_that_comes_after_its_session_is_shown_whole_and_its_button_says_what_it_does(
    app: Flask, team: People
) -> None:
    fields = {
        "was.role": "member", "role": "admin", "was.name": "鈴木 一郎", "name": "鈴木 一郎",
        "team": "a\n<b>&", "csrf_token": "old", "form": "1764060000000-AAAAAAAAAAAAAAAA",
    }  # fmt: skip
    answer = app.test_client().post(
        f"/admin/members/{team.suzuki.id}", data=fields, headers={"Sec-Fetch-Site": "same-origin"}
    )
    assert answer.status_code == 401
    assert "メンバーの変更を保存する</button>" in answer.text
    hidden = re.findall(r'<input type="hidden" name="([^"]+)"', answer.text)
    assert hidden == ["csrf_token", "form"]
    seen = re.findall(
        r'(?s)<textarea [^>]*name="([^"]+)"[^>]* readonly>\n(.*?)</textarea>', answer.text
    )
    # What stands as it was when the form was opened changes nothing, and is not sent again.
    assert seen == [("role", "admin"), ("was.role", "member"), ("team", "a\n&lt;b&gt;&amp;")]


def test_a_file_that_comes_after_its_session_has_to_be_chosen_again(
    app: Flask, team: People
) -> None:
    answer = app.test_client().post(
        "/admin/import",
        data={"what": "members", "file": (io.BytesIO(b"email\n"), "a.csv")},
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert answer.status_code == 401
    assert "<form" not in answer.text
    assert 'href="/admin/import"' in answer.text


def test_each_form_behind_the_sign_in_has_words_for_its_button(app: Flask) -> None:
    mine = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if "POST" in (rule.methods or ())
        and rule.endpoint.partition(".")[0] not in csrf.TOKEN_PAGES
    }
    assert mine - csrf.DOES.keys() == {"login.ask"}


def test_a_form_that_was_open_for_8_hours_is_simply_taken(
    inside: FlaskClient, travel: time_machine.Traveller
) -> None:
    token = token_of(inside.get("/settings"))
    travel.shift(timedelta(hours=8))
    assert inside.post("/logout", data={"csrf_token": token}).status_code == 302


def test_signed_out_in_another_tab_keeps_the_text_over_the_sign_in(
    inside: FlaskClient, services: Services, travel: time_machine.Traveller
) -> None:
    inside.post("/logout", headers={"Sec-Fetch-Site": "same-origin"})
    typed = {"text": "ここまで書いた文章を失いたくありません。"}
    answer = inside.post(
        "/logout/everywhere", data=typed, headers={"Sec-Fetch-Site": "same-origin"}
    )
    assert answer.status_code == 401
    assert typed["text"] in answer.text
    assert "すべてのブラウザーでサインアウトする</button>" in answer.text
    travel.shift(61)
    enter(inside, link_for(services))
    again = inside.post("/logout/everywhere", data=typed, headers={"Sec-Fetch-Site": "same-origin"})
    assert again.status_code == 302


def test_over_plain_http_the_origin_says_where_a_form_came_from(inside: FlaskClient) -> None:
    assert inside.post("/logout", headers={"Origin": "http://localhost"}).status_code == 302


def test_sessions_are_counted(inside: FlaskClient, services: Services, team: People) -> None:
    with services.db.read() as session:
        key_hash = session.scalars(select(WebSession.key_hash)).one()
    assert len(key_hash) == 64
    with services.db.write() as session:
        sessions.begin(session, team.suzuki, NOW)
    with services.db.read() as session:
        assert len(session.scalars(select(WebSession)).all()) == 2


# --- under which name the pages answer ----------------------------------------------------------


def test_at_home_the_pages_open_under_every_name_of_this_machine(browser: FlaskClient) -> None:
    for host in ("localhost", "127.0.0.1:8000", "LOCALHOST:80", "[::1]:8000", "127.0.0.7"):
        assert browser.get("/login", headers={"Host": host}).status_code == 200, host


def test_another_host_gets_nothing_but_what_monitors_read(
    open_with: Open, db: Database, team: People
) -> None:
    browser = open_with(APP_BASE_URL="https://progress.example.jp", TASK_PROGRESS_MAILBOX="")
    ours = ("progress.example.jp", "Progress.Example.JP:443", "progress.example.jp.")
    for host in ours:
        assert browser.get("/login", headers={"Host": host}).status_code == 200, host
    for host in ("evil.example", "progress.example.jp.evil.example", "localhost", "127.0.0.1:8000",
                 "", "evil_example:0", "[::ffff:192.0.2.1]:80"):  # fmt: skip
        headers = {"Host": host, "Sec-Fetch-Site": "same-origin"}
        for path in ("/login", "/", "/nowhere", "/static/style.css", "/r/x"):
            answer = browser.get(path, headers=headers)
            assert answer.status_code == 421, (host, path)
            assert "evil" not in answer.text
        answer = browser.post("/login", data={"email": SUZUKI}, headers=headers)
        assert (answer.status_code, answer.headers.get("Set-Cookie")) == (421, None)
        for path in ("/healthz", "/metrics"):  # docs/monitoring.md: asked by their number
            assert browser.get(path, headers={"Host": host}).status_code in {200, 503}
    assert asked_mails(db) == []


def test_a_host_in_other_letters_is_the_one_that_browsers_name(
    open_with: Open, team: People
) -> None:
    browser = open_with(APP_BASE_URL="https://進捗.example.jp", TASK_PROGRESS_MAILBOX="")
    for host in ("xn--7wu811h.example.jp", "XN--7WU811H.example.jp:443"):
        assert browser.get("/login", headers={"Host": host}).status_code == 200, host


LABEL = "a" * 64  # DNS takes 63 letters between two full stops


@on_sqlite
@pytest.mark.parametrize(
    "host",
    [f"{LABEL}.localhost", f"localhost.{LABEL}", f"{LABEL}:8000", "a..localhost", ".localhost", ".",
     "localhost..", "localhost:65536", "localhost:-1", "localhost:80:80", "localhost:８０",
     "me@localhost", "me:x@localhost", "[::1", "::1]", "[::1%25eth0]", "[localhost]", "local host",
     "localhost, localhost", "localhost/x", "localhost?x", "localhost#x", "localhost\\x", "localhost\x7f",
     "localhost\t", "ｌｏｃａｌｈｏｓｔ".encode().decode("latin-1"), "\xff.localhost", "%6cocalhost", " ",
     "x" * 1_000_000],
)  # fmt: skip
def test_a_host_that_cannot_be_one_is_a_bad_request_on_every_page(
    app: Flask, db: Database, team: People, host: str
) -> None:
    environ = {"HTTP_HOST": host, "HTTP_SEC_FETCH_SITE": "same-origin"}
    for path in ("/login", "/", "/nowhere", "/static/style.css", "/r/x", "/healthz", "/metrics"):
        for method in ("GET", "POST"):
            answer = app.test_client().open(path, method=method, environ_overrides=environ)
            assert answer.status_code == 400, (method, path)
            assert answer.text.isascii() is False, "in both languages"
            assert LABEL not in answer.text
    assert asked_mails(db) == []


@on_sqlite
@pytest.mark.parametrize(
    "host", [f"{LABEL[1:]}.localhost", "localhost.", "localhost:", "localhost:65535", "[::1]:8000"]
)
def test_a_host_that_can_be_one_is_no_bad_request(browser: FlaskClient, host: str) -> None:
    assert browser.get("/login", headers={"Host": host}).status_code == 200


# --- the first admin ----------------------------------------------------------------------------


@pytest.mark.parametrize("members", ["none", "the team"])
def test_an_address_that_nobody_has_becomes_an_admin_who_can_sign_in(
    app: Flask, services: Services, db: Database, members: str, request: pytest.FixtureRequest
) -> None:
    if members == "the team":
        request.getfixturevalue("team")
    url = sign_in.make_admin(services, "new.admin@example.jp", "test", NOW)
    with db.read() as session:
        new = session.scalars(select(Member).where(Member.email == "new.admin@example.jp")).one()
        assert (new.role, new.active, new.name) == (Role.ADMIN, True, "new.admin")
    browser = app.test_client()
    token = url.rpartition("/")[2]
    assert sign_in.opened(services, token, clock.now()).member_id == new.id
    assert browser.get(url).status_code == 200
