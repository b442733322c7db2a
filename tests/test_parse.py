"""Text that people typed: read strictly, refused with the nearest value that would be taken."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import clock
from app.locale import Both
from app.refused import UnusableValue
from app.util import parse


@pytest.fixture
def _clock_put_back() -> Iterator[None]:
    yield
    clock.shift(0)


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [
        ("25:00", "23:00"),
        ("9:5", "09:05"),
        ("９：００", "09:00"),
        ("0９:30", "09:30"),
        ("09:60", "09:59"),
        ("24:00", "23:00"),
        ("9時", "09:00"),
        ("", "09:00"),
        ("09:00\n", "09:00"),
        ("-9:00", "09:00"),
    ],
)
def test_a_time_that_is_none_is_refused_with_the_nearest_one(typed: str, nearest: str) -> None:
    with pytest.raises(UnusableValue, match=nearest) as refused:
        parse.parse_time(typed)
    assert isinstance(refused.value.sentence, Both)


@given(st.times().map(lambda t: t.replace(second=0, microsecond=0)))
def test_every_minute_of_the_day_is_read_back(moment: time) -> None:
    assert parse.parse_time(f"{moment:%H:%M}") == moment


@given(st.text(max_size=8))
def test_any_other_text_is_refused_with_a_time_that_is_taken(typed: str) -> None:
    try:
        parse.parse_time(typed)
    except UnusableValue as refused:
        nearest = refused.sentence.en.removesuffix(".").rpartition(" ")[2]
        assert parse.parse_time(nearest) is not None


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [
        ("JST", "Asia/Tokyo"),
        ("", "Asia/Tokyo"),
        ("../../etc", "Asia/Tokyo"),
        ("asia/tokyo", "Asia/Tokyo"),
        ("Ａsia／Ｔokyo", "Asia/Tokyo"),
        ("Tokyo", "Asia/Tokyo"),
        ("New York", "America/New_York"),
        ("Europe/Berln", "Europe/Berlin"),
        ("localtime", "Asia/Tokyo"),
    ],
)
def test_an_unknown_time_zone_is_refused_with_the_nearest_name(typed: str, nearest: str) -> None:
    with pytest.raises(UnusableValue, match=nearest):
        parse.parse_timezone(typed)


@pytest.mark.parametrize("name", ["Asia/Tokyo", "UTC", "Australia/Lord_Howe", "Africa/Cairo"])
def test_a_time_zone_is_taken_as_iana_spells_it(name: str) -> None:
    assert parse.parse_timezone(name) == name


def refusal(reader: Callable[[str], str], typed: str) -> Both:
    """What `reader` says against `typed`; an empty sentence where it takes it."""
    try:
        reader(typed)
    except UnusableValue as refused:
        return Both(*refused.sentence)
    return Both("", "")


@given(st.text(max_size=40))
def test_no_text_breaks_a_reader(typed: str) -> None:
    for reader in (
        parse.parse_timezone,
        parse.parse_redis_url,
        parse.parse_web_url,
    ):
        sentence = refusal(reader, typed)
        assert sentence.ja.isprintable()
        assert sentence.en.isprintable()


@pytest.mark.parametrize(
    ("typed", "taken"),
    [
        ("https://進捗.example.jp:8443/x/", "https://xn--7wu811h.example.jp:8443/x"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
        ("https://Progress.Example.jp/進捗", "https://Progress.Example.jp/進捗"),
    ],
)
def test_a_web_address_names_its_host_as_browsers_do(typed: str, taken: str) -> None:
    assert parse.parse_web_url(typed) == taken


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hush@h:6379/0",
        "redis://user:hush@h/0",
        "redis://:hu@hush@h/0",
        "redis://:hush#hush@h/0",
        "redis://:hush/hush@h/0",
        "http://:hush@h:x/",
        "redis://:hush",
        "redis://h/0?password=hush",
        "hush",
    ],
)
def test_a_masked_url_keeps_its_password(url: str) -> None:
    assert "hush" not in parse.mask_url(url)


def test_a_masked_url_still_shows_the_server() -> None:
    assert parse.mask_url("redis://:hush@10.0.0.5:6379/0") == "redis://***@10.0.0.5:6379/0"
    assert parse.mask_url("http://127.0.0.1:6379") == "http://127.0.0.1:6379"


def test_an_encrypted_redis_always_has_its_certificate_verified() -> None:
    assert parse.parse_redis_url("rediss://h:6380/0") == "rediss://h:6380/0?ssl_cert_reqs=required"
    chosen = "rediss://h:6380/0?ssl_cert_reqs=none"
    assert parse.parse_redis_url(chosen) == chosen


def test_a_quoted_value_is_short_and_printable() -> None:
    assert parse.shown("a\nb\x00" + "x" * 100) == "a\\nb\\x00" + "x" * 55 + "…"


@pytest.mark.usefixtures("_clock_put_back")
def test_the_clock_is_aware_and_moves_by_the_last_shift_only() -> None:
    clock.shift(1000)
    clock.shift(86_400)
    ahead = clock.now() - datetime.now(UTC)
    assert clock.now().tzinfo is UTC
    assert abs(ahead - timedelta(days=1)) < timedelta(seconds=5)
