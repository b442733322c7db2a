"""Nothing that anybody sends takes long, whatever its length: the longest text of the worst shape.

The forms and their fields are those of the application: each form that is added is covered here
by itself.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import thread_time
from types import FunctionType
from typing import Any, ClassVar
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import ImmutableMultiDict

from app.compose.text import inert
from app.config import NAMES, Config, ConfigError, load
from app.config.sources import gather
from app.imports import files
from app.imports.file_rows import ImportRefused
from app.imports.file_table import read_table
from app.links import BadToken, Links, ReportLink, StopLink
from app.mime import address
from app.mime.address import UnusableMessage, masked, read_mailbox
from app.people import choices, values
from app.people.columns import HEADERS
from app.people.lookup import nearest
from app.people.weekend_and_region import parse_region, parse_weekend
from app.services import Services
from app.systemd.environment_file import read as read_as_systemd
from app.util import dates_and_numbers, parse, urls
from app.util.logs import formatter, mask_tokens
from app.web import limits
from tests.conftest import NOW, TODAY, People, task
from tests.databases import on_sqlite
from tools.house import PROJECT

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000
LONG = MEGABYTE // 4  # what takes the square of it takes seconds
MOST = 0.1  # seconds of this thread's processor time
A_FILE = 0.2  # the same, for a megabyte
A_PAGE = 0.2  # and for a whole answer, the page and its database included

# Each takes the square of its length, or worse, where a reader searches or sums up without care.
WORST = {
    "signs": "@" * LONG,
    "quotes": '"\\' * (LONG // 2),
    "blanks": " " * (LONG - 1) + "x",
    "combining": "a" + "\u0315\u0300\u05ae" * (LONG // 6),
    "digits": "9" * LONG,
    "dots": "a." * (LONG // 2),
    "commas": "," * LONG,
    "lines": "\n" * LONG,
    "wide": "\ufdfa" * (LONG // 3),
    "tags": "<" * LONG,
    "braces": "[{" * (LONG // 2),
}


def seconds_of(do: Callable[[], object]) -> float:
    begun = thread_time()
    do()
    return thread_time() - begun


def slow(
    named: dict[str, Callable[[str], object]],
    *refusals: type[Exception],
    shapes: Sequence[str] = tuple(WORST),
    most: float = MOST,
) -> list[str]:
    """Which reader took too long over which shape."""
    found = []
    for name, reader in named.items():
        for shape in shapes:
            text = WORST[shape]

            def read(reader: Callable[[str], object] = reader, text: str = text) -> None:
                with suppress(*refusals):
                    reader(text)

            took = seconds_of(read)
            if took > most and seconds_of(read) > most:
                found.append(f"{name}, {shape}: {took:.2f} s")
    return found


# --- what reads text ----------------------------------------------------------------------------


def test_no_reader_of_typed_text_is_slow() -> None:
    readers: dict[str, Callable[[str], object]] = {
        name: reader
        for module in (parse, dates_and_numbers, urls)
        for name, reader in vars(module).items()
        if isinstance(reader, FunctionType)
        and reader.__module__ == module.__name__
        and name[0] != "_"
    }
    readers["parse_whole"] = lambda text: parse.parse_whole(text, 0, 100)
    readers["parse_decimal"] = lambda text: parse.parse_decimal(text, 0, 100)
    readers["parse_choice"] = lambda text: parse.parse_choice(text, ("ja", "en"))
    readers["similar"] = lambda text: parse.similar(text, parse.time_zone_names())
    readers["read_whole"] = lambda text: dates_and_numbers.read_whole(text, 0, 100)
    readers["is_hidden"] = lambda text: dates_and_numbers.is_hidden(text[: parse.MAX_LINE], TODAY)
    readers["weekend"], readers["region"] = parse_weekend, parse_region
    readers["words"] = choices.WEEKDAY.read
    readers["inert"] = lambda text: inert(text[: parse.MAX_LINE])
    assert len(readers) >= 18
    assert slow(readers, ValueError) == []


@pytest.mark.parametrize("before", ["", "x@", '"', "x <", "花子 <a@"])
@pytest.mark.parametrize("after", ["", "@example.jp", ">", "x"])
def test_no_address_is_read_slowly(before: str, after: str) -> None:
    def read(text: str) -> object:
        return read_mailbox("email", before + text + after, allow_localhost=True)

    assert slow({"read_mailbox": read, "masked": masked}, UnusableMessage) == []


def test_only_what_can_be_a_domain_is_kept() -> None:
    address._wire_domain.cache_clear()
    for length in (2_000_000, 1_000, 254):
        for domain in ("x" * length, "例" * length, "a." * length):
            with pytest.raises(UnusableMessage):
                read_mailbox("email", f"x@{domain}")
    assert address._wire_domain.cache_info().currsize == 0


def test_every_setting_of_a_member_is_read_quickly() -> None:
    def read(key: str) -> Callable[[str], object]:
        return lambda text: values.read({key: text}, readers)

    readers = values.NEW_MEMBER | values.ORGANISATION
    assert slow({key: read(key) for key in readers}, values.ValuesRefused) == []


def test_no_token_is_read_slowly(config: Config) -> None:
    links = Links(config)
    good = links.stop_url(StopLink(1, "reminder")).rpartition("/")[2]
    readers: dict[str, Callable[[str], object]] = {
        "report": links.read_report,
        "sign in": links.read_sign_in,
        "stop": links.read_stop,
        "stop, long signature": lambda text: links.read_stop(good + text),
        "stop, long payload": lambda text: links.read_stop(text + "." + good.partition(".")[2]),
        "masked": lambda text: mask_tokens("/r/" + text),
        "masked_escaped": lambda text: mask_tokens("/%72/" + text),
    }
    assert slow(readers, BadToken) == []


@on_sqlite
@pytest.mark.parametrize("what", sorted(HEADERS))
def test_no_cell_of_an_import_is_read_slowly(services: Services, team: People, what: str) -> None:
    header = HEADERS[what]
    good = {
        "members": "kato@example.jp,加藤,member,開発,,ja,Asia/Tokyo,daily,09:00,mon,,,yes,none,JP",
        "tasks": "T-1,題,suzuki.ichiro@example.jp,open,2026-11-02,,daily,2026-11-02",
        "reports": "T-1,suzuki.ichiro@example.jp,2026-11-02,10,on_track,文",
        "days-off": "member,suzuki.ichiro@example.jp,2026-11-02,2026-11-02,休み",
    }[what].split(",")

    def read(column: int) -> Callable[[str], object]:
        def read(text: str) -> object:
            cells = [*good]
            cells[column] = '"' + text[:130_000].replace('"', '""') + '"'  # csv takes no more
            data = f"{','.join(header)}\n{','.join(cells)}\n".encode()
            return files.preview_file(services, what, data, now=NOW)

        return read

    columns = {name: read(number) for number, name in enumerate(header)}
    assert slow(columns, ImportRefused) == []


def test_no_file_is_read_slowly_before_its_cells() -> None:
    def read(text: str) -> object:
        return read_table((text * 4).encode(), "members")

    commas = {"commas": lambda text: read(",".join("ab" * 1) + text)}
    assert slow({"file": read, **commas}, ImportRefused, most=A_FILE) == []
    names = ",".join(f"n{number % 1000}" for number in range(200_000))
    begun = thread_time()
    with pytest.raises(ImportRefused):
        read_table(names.encode(), "members")
    assert thread_time() - begun < A_FILE


@on_sqlite
def test_nobody_is_looked_for_slowly(services: Services, team: People) -> None:
    with services.db.read() as session:
        assert slow({"nearest": lambda text: nearest(session, text)}) == []


def test_no_line_of_a_log_is_made_slowly() -> None:
    shown = formatter("text")

    def read(text: str) -> object:
        return shown.format(logging.LogRecord("app", logging.INFO, "x.py", 1, text, None, None))

    assert slow({"log": read}) == []


@pytest.mark.parametrize("name", sorted(NAMES))
def test_no_setting_is_read_slowly(name: str, tmp_path: Path) -> None:
    def read(text: str) -> object:
        return load(
            {
                "DATA_DIR": str(tmp_path / "data"),
                "SECRET_KEY": "a made-up key for tests only: 0123456789 abcdef",
            }
            | {name: text},
            tmp_path,
        )

    assert slow({name: read}, ConfigError, shapes=("signs", "combining", "digits")) == []


def test_no_env_file_is_read_slowly(tmp_path: Path) -> None:
    file = tmp_path / ".env"

    def read(text: str) -> object:
        file.write_text(text)
        return gather({}, tmp_path, NAMES, [], [])

    def as_value(text: str) -> object:
        return read(f"MAIL_FROM={text}")

    def as_secret(text: str) -> object:
        return read(f"SMTP_PASSWORD={text}")

    readers: dict[str, Callable[[str], object]] = {
        "file": read,
        "value": as_value,
        "secret": as_secret,
        "systemd": read_as_systemd,
    }
    assert slow(readers) == []


# --- what a form brings --------------------------------------------------------------------------

OURS = {"Sec-Fetch-Site": "same-origin"}
ADMIN = "sato.hanako@example.jp"


class Noting(ImmutableMultiDict[str, str]):
    """A form that remembers which of its fields were asked for."""

    asked: ClassVar[set[str]] = set()

    def get(self, key: str, *more: Any, **named: Any) -> Any:
        self.asked.add(key)
        return super().get(key, *more, **named)

    def getlist(self, key: str, *more: Any, **named: Any) -> Any:
        self.asked.add(key)
        return super().getlist(key, *more, **named)

    def __getitem__(self, key: str) -> Any:
        self.asked.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.asked.add(str(key))
        return super().__contains__(key)


@pytest.fixture
def app(app: Flask, services: Services, team: People) -> Flask:
    """It notes which fields of a form are read."""
    app.request_class = type("N", (app.request_class,), {"parameter_storage_class": Noting})
    with services.db.write() as session:
        session.add_all([task("T-1", team.suzuki), task("T-2", team.sato)])
    return app


def forms(app: Flask, services: Services, team: People) -> dict[str, str]:
    """Each address that takes a form, by its rule, filled so that a page is there."""
    report = services.links.report_token(ReportLink(team.suzuki.id, TODAY))
    stop = services.links.stop_url(StopLink(team.suzuki.id, "reminder")).rpartition("/")[2]
    tokens = {"report": report, "stop": stop, "login": "x.y"}
    found = {}
    for rule in app.url_map.iter_rules():
        if "POST" in (rule.methods or ()) and not rule.endpoint.startswith("login.out"):
            token = tokens.get(rule.endpoint.partition(".")[0], "x")
            path = rule.rule.replace("<token>", token)
            found[rule.rule] = re.sub(r"<int:\w+>", str(team.suzuki.id), path)
    return found


CHOICES: tuple[dict[str, str], ...] = (
    {},
    {"until": "at"},
    {"until": "date"},
    {"action": "change"},
    {"action": "undo"},
)


def fields_of(browser: FlaskClient, path: str) -> set[str]:
    """The fields that the page asks for, whatever is chosen."""
    Noting.asked.clear()
    for chosen in CHOICES:
        browser.post(path, **body_of({**chosen, "ref": "T-1"}))
    return set(Noting.asked)


def body_of(fields: Mapping[str, str]) -> dict[str, Any]:
    return {
        "data": urlencode(fields).encode(),
        "content_type": "application/x-www-form-urlencoded",
        "headers": OURS,
    }


def named_in_templates() -> set[str]:
    """Every name that a template gives to a field; what is made of a name has no place here."""
    texts = [file.read_text("utf-8") for file in (PROJECT / "app/templates").glob("**/*.html")]
    return {name for text in texts for name in re.findall(r'name=["\']([a-z_]+)["\']', text)}


@on_sqlite
def test_the_fields_found_are_all_that_the_templates_have(
    app: Flask, admin: FlaskClient, services: Services, team: People
) -> None:
    asked = {
        name for path in forms(app, services, team).values() for name in fields_of(admin, path)
    }
    of_addresses = {"member", "date", "who", "what", "state", "search", "q", "after", "viewport"}
    # Asked for by what comes before every page, and only where something else went well.
    kept = {"csrf_token", "next", "file", "overwrite_settings", "back"}
    assert named_in_templates() - asked - of_addresses - kept == set()


@on_sqlite
@pytest.mark.parametrize("shape", ["signs", "combining", "lines"])
def test_no_form_is_slow_with_fields_as_long_as_they_may_be(
    app: Flask, admin: FlaskClient, services: Services, team: People, shape: str
) -> None:
    late = []
    addresses = forms(app, services, team)
    assert len(addresses) > 20
    for rule, path in addresses.items():
        longest = dict.fromkeys(sorted(fields_of(admin, path)), WORST[shape][: limits.FIELD])
        if rule == "/r/<token>":
            longest |= {"ref": "T-1", "text:T-1": WORST[shape][:100_000]}
        for chosen in CHOICES:
            sent = body_of({**longest, **chosen})

            def send(path: str = path, sent: dict[str, Any] = sent) -> None:
                admin.post(path, **sent)

            if seconds_of(send) > A_PAGE and (took := seconds_of(send)) > A_PAGE:
                late.append(f"{rule}, {chosen}: {took:.2f} s")
    assert late == []


@on_sqlite
def test_a_field_that_is_too_long_is_refused_before_anything_is_done_with_it(
    app: Flask, admin: FlaskClient, services: Services, team: People
) -> None:
    late = []
    for rule, path in forms(app, services, team).items():
        for name in sorted({*fields_of(admin, path), "a-new-field"}):
            sent = body_of({name: "9" * MEGABYTE})
            begun = thread_time()
            answer = admin.post(path, **sent)
            if thread_time() - begun > A_PAGE:
                late.append((rule, name))
            refused = 422 if name.startswith("text:") else 413
            assert answer.status_code == refused, (rule, name)
    assert late == []


@on_sqlite
def test_a_stranger_sends_64_kilobytes_at_most(app: Flask) -> None:
    stranger = app.test_client()
    almost = body_of({f"f{number}": "x" * 1_000 for number in range(60)})
    assert stranger.post("/login", **almost).status_code == 422
    for path in ("/login", "/nowhere", "/settings", "/r/x", "/u/x.y"):
        sent = body_of({f"f{number}": "x" * 1_000 for number in range(70)})
        assert stranger.post(path, **sent).status_code in (404, 413)
    in_english = {**OURS, "Accept-Language": "en"}
    page = stranger.post("/login", data={"email": "@" * 400_000}, headers=in_english)
    assert page.status_code == 413
    assert "Too much was sent" in page.text
    japanese = {**OURS, "Accept-Language": "ja"}
    page = stranger.post("/login", data={"email": "@" * 400_000}, headers=japanese)
    assert "送信された内容が大きすぎます" in page.text


@on_sqlite
def test_what_is_too_long_names_its_field_and_its_limit_and_keeps_what_was_typed(
    app: Flask, admin: FlaskClient
) -> None:
    typed = {"title": "x" * 30_000, "start_on": "二〇二六年十一月二十四日から"}
    page = admin.post("/tasks/new", data=typed, headers=OURS)
    assert page.status_code == 413
    for kept in ("title", "30,000", "2,000", typed["start_on"], typed["title"]):
        assert kept in page.text
    assert "<form" not in page.text.partition("<main")[2]


@on_sqlite
def test_a_report_far_too_long_comes_back_with_its_text_and_the_limit(
    app: Flask, services: Services, team: People
) -> None:
    token = services.links.report_token(ReportLink(team.suzuki.id, TODAY))
    text = "進捗です。" * 30_000  # 150,000 characters, 450,000 bytes
    sent = {"ref": "T-1", "status:T-1": "on_track", "percent:T-1": "50", "text:T-1": text}
    page = app.test_client().post(f"/r/{token}", data=sent)
    assert page.status_code == 422
    assert text in page.text
    assert "2,000" in page.text


@on_sqlite
@pytest.mark.parametrize("name", ["Accept-Language", "Cookie", "X-Forwarded-For", "Origin"])
def test_no_header_is_read_slowly(app: Flask, name: str) -> None:
    def read(text: str) -> object:
        text = text.encode("ascii", "ignore").decode().replace("\n", " ")
        return stranger.get("/login", headers={name: text[: limits.HEADER]})

    stranger = app.test_client(use_cookies=False)
    assert slow({name: read}) == []
    assert stranger.get("/login", headers={name: "ja," * 10_000}).status_code == 431


@on_sqlite
def test_no_address_of_a_page_is_read_slowly(app: Flask, admin: FlaskClient) -> None:
    long = {"digits": "9" * 3_000, "percent": "%" * 3_000, "dots": "a." * 1_500}
    late = []
    for rule in app.url_map.iter_rules():
        for shape, text in long.items():
            path = re.sub(r"<[^>]+>", text, rule.rule)

            def ask(path: str = path, text: str = text) -> None:
                admin.get(path, query_string={"page": text, "next": text})

            if seconds_of(ask) > A_PAGE and (took := seconds_of(ask)) > A_PAGE:
                late.append(f"{rule.rule}, {shape}: {took:.2f} s")
    assert late == []
    assert admin.get("/team?q=" + "x" * MEGABYTE).status_code == 414


# --- ids ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 2**63, 10**30, "9" * 5_000, "९"])
def test_what_no_row_can_have_as_its_number_is_not_found(
    app: Flask, admin: FlaskClient, number: object
) -> None:
    rules = [one for one in app.url_map.iter_rules() if "<int:" in one.rule]
    assert len(rules) > 8
    for rule in rules:
        path = re.sub(r"<int:\w+>", str(number), rule.rule)
        ask = admin.post if "GET" not in (rule.methods or ()) else admin.get
        assert ask(path, headers=OURS).status_code == 404, path


def test_a_number_that_a_row_can_have_is_only_not_there(app: Flask, admin: FlaskClient) -> None:
    for path in ("/outbox/{}", "/tasks/{}", "/admin/members/{}", "/team/{}", "/admin/import/{}"):
        assert admin.get(path.format(2**63 - 1)).status_code == 404
    for query in ("/team?team={}", "/outbox?before={}", "/admin/members?team_id={}"):
        for number in (2**63 - 1, 2**63, "9" * 5_000):
            assert admin.get(query.format(number)).status_code in (200, 404)
