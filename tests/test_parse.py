"""Text that people typed: read strictly, refused with the nearest value that would be taken."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import clock
from app.locale import Both
from app.refused import UnusableValue
from app.util import parse, urls


@pytest.fixture
def _clock_put_back() -> Iterator[None]:
    yield
    clock.shift(0)


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
        urls.parse_redis_url,
        urls.parse_web_url,
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
    assert urls.parse_web_url(typed) == taken


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
    assert "hush" not in urls.mask_url(url)


def test_a_masked_url_still_shows_the_server() -> None:
    assert urls.mask_url("redis://:hush@10.0.0.5:6379/0") == "redis://***@10.0.0.5:6379/0"
    assert urls.mask_url("http://127.0.0.1:6379") == "http://127.0.0.1:6379"


def test_an_encrypted_redis_always_has_its_certificate_verified() -> None:
    assert urls.parse_redis_url("rediss://h:6380/0") == "rediss://h:6380/0?ssl_cert_reqs=required"
    chosen = "rediss://h:6380/0?ssl_cert_reqs=none"
    assert urls.parse_redis_url(chosen) == chosen


def test_a_quoted_value_is_short_and_printable() -> None:
    assert parse.shown("a\nb\x00" + "x" * 100) == "a\\nb\\x00" + "x" * 55 + "…"


@pytest.mark.usefixtures("_clock_put_back")
def test_the_clock_is_aware_and_moves_by_the_last_shift_only() -> None:
    clock.shift(1000)
    clock.shift(86_400)
    ahead = clock.now() - datetime.now(UTC)
    assert clock.now().tzinfo is UTC
    assert abs(ahead - timedelta(days=1)) < timedelta(seconds=5)
