"""The signed links of mails: made fast here, read back by itsdangerous."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import URLSafeSerializer
from pydantic import SecretStr

from app.auth import BadToken, Links, ReportLink, StopLink
from app.config import Config

OLD = SecretStr("the key of last year, for tests only: 0123456789")
NEW = SecretStr("the key of this year, for tests only: 9876543210")
DAY = date(2026, 11, 24)


def links(key: SecretStr, previous: SecretStr | None = None) -> Links:
    config = Config.model_construct(
        app_base_url="https://progress.example.jp", secret_key=key, secret_key_previous=previous
    )
    return Links(config)


def token(url: str) -> str:
    return url.rpartition("/")[2]


@given(st.integers(1), st.dates(), st.none() | st.text(st.characters(codec="utf-8"), max_size=60))
def test_a_link_says_what_it_was_made_for(member_id: int, day: date, ref: str | None) -> None:
    made, link = links(NEW), ReportLink(member_id, day, ref)
    assert made.read_report(token(made.report_url(link))) == link


def test_a_link_is_signed_as_itsdangerous_signs_it() -> None:
    made = links(NEW, OLD)
    dumps = URLSafeSerializer.dumps
    assert token(made.stop_url(StopLink(17, "reminder"))) == dumps(made._stop, [17, "reminder"])


def test_a_link_of_the_previous_key_works_and_a_new_one_is_signed_with_the_new_key() -> None:
    link = StopLink(17, "reminder")
    both = links(NEW, OLD)
    assert both.read_stop(token(links(OLD).stop_url(link))) == link
    assert links(NEW).read_stop(token(both.stop_url(link))) == link


def test_a_report_link_stops_nothing_and_a_changed_one_is_refused() -> None:
    made = links(NEW)
    report = token(made.report_url(ReportLink(17, DAY, None)))
    with pytest.raises(BadToken):
        made.read_stop(report)
    with pytest.raises(BadToken):
        made.read_report(report[:-1] + ("A" if report[-1] != "A" else "B"))
