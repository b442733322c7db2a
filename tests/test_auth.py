"""The signed links of mails: made fast here, read back by itsdangerous."""

import base64
import hashlib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import URLSafeSerializer
from pydantic import SecretStr

from app.config import Config
from app.links import BadToken, Links, ReportLink, StopLink

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


@given(st.integers(1, 2**63 - 1), st.dates())
def test_a_link_says_what_it_was_made_for(member_id: int, day: date) -> None:
    made, link = links(NEW), ReportLink(member_id, day)
    assert made.read_report(token(made.report_url(link))) == link


def test_the_links_of_a_mail_are_short_and_carry_a_signature_of_128_bits() -> None:
    made = token(links(NEW).report_url(ReportLink(200_000, DAY)))
    assert len(made) == 30
    assert len(base64.urlsafe_b64decode(made + "==")) - len(b"day") - len(b"who") == 128 // 8


def test_a_link_mailed_before_there_was_one_token_a_mail_still_names_its_task() -> None:
    """A token that the version before this one made; it signed one for each task."""
    old = URLSafeSerializer(
        OLD.get_secret_value(),
        salt="task-progress/report",
        signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
    ).dumps([17, DAY.toordinal(), "T-003"])
    assert links(NEW, OLD).read_report(str(old)) == ReportLink(17, DAY, "T-003")
    with pytest.raises(BadToken):
        links(NEW).read_report(str(old))


def test_a_link_is_signed_as_itsdangerous_signs_it() -> None:
    made = links(NEW, OLD)
    dumps = URLSafeSerializer.dumps
    assert token(made.stop_url(StopLink(17, "reminder"))) == dumps(made._stop, [17, "reminder"])


def test_a_link_of_the_previous_key_works_and_a_new_one_is_signed_with_the_new_key() -> None:
    stop, report = StopLink(17, "reminder"), ReportLink(17, DAY)
    both = links(NEW, OLD)
    assert both.read_stop(token(links(OLD).stop_url(stop))) == stop
    assert links(NEW).read_stop(token(both.stop_url(stop))) == stop
    assert both.read_report(token(links(OLD).report_url(report))) == report
    assert links(NEW).read_report(token(both.report_url(report))) == report
    with pytest.raises(BadToken):
        links(NEW).read_report(token(links(OLD).report_url(report)))


def test_a_report_link_stops_nothing_and_a_changed_one_is_refused() -> None:
    made = links(NEW)
    report = token(made.report_url(ReportLink(17, DAY)))
    with pytest.raises(BadToken):
        made.read_stop(report)
    with pytest.raises(BadToken):
        made.read_report(token(made.stop_url(StopLink(17, "reminder"))))
    for at in range(len(report)):
        other = "A" if report[at] != "A" else "B"
        with pytest.raises(BadToken):
            made.read_report(report[:at] + other + report[at + 1 :])


def test_a_token_has_one_spelling_alone() -> None:
    """Another last character that decodes to the same bytes is another token, and refused."""
    made = links(NEW)
    kinds = [
        (token(made.report_url(ReportLink(17, DAY))), made.read_report),
        (str(made._report.dumps([17, DAY.toordinal(), "T-003"])), made.read_report),
        (token(made.stop_url(StopLink(17, "reminder"))), made.read_stop),
        (token(made.sign_in_url(5)), made.read_sign_in),
    ]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for right, read in kinds:
        assert read(right)
        others = [right[:-1] + letter for letter in letters if letter != right[-1]]
        for other in (
            *others,
            right + "=",
            right + "\n",
            right[:-1] + "*" + right[-1],
            right + ".",
        ):
            with pytest.raises(BadToken):
                read(other)


@given(st.text(max_size=60) | st.text("AB-_=.", max_size=60))
def test_whatever_stands_in_the_address_it_is_no_link(text: str) -> None:
    for read in (links(NEW).read_report, links(NEW).read_stop):
        with pytest.raises(BadToken):
            read(text)
