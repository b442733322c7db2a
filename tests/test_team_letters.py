"""The letters about a team: what they say in both languages and parts, and their board."""

import os
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.compose.colours import DAYS
from app.compose.digest import DigestFacts, weekly_digest
from app.compose.escalation import EscalationFacts, escalation
from app.compose.line_breaking import LINE
from app.compose.recap import LINES, recap_of
from app.mime.message import MailMessage, build, width
from app.rules.week import Mark, Week
from tests import team_letters
from tests.team_letters import ESCALATIONS, ITO

pytestmark = pytest.mark.pages

GOLDEN = Path(__file__).parent / "golden"
DIGESTS = team_letters.digests()
EVERY_DIGEST = pytest.mark.parametrize("facts", DIGESTS.values(), ids=DIGESTS)
NOW = datetime(2026, 11, 24, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script> {{7*7}} ${x} [x](javascript:alert(1))\r\nBcc: a@b.jp\u200b"

LETTERS = {name: weekly_digest(facts) for name, facts in DIGESTS.items()}
LETTERS |= {name: escalation(facts) for name, facts in ESCALATIONS.items()}
EVERY_LETTER = pytest.mark.parametrize("message", LETTERS.values(), ids=LETTERS)


class Reader(HTMLParser):
    """What a person sees of an HTML part, and its links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self.labels: list[str] = []
        self.inside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links.append(dict(attrs)["href"] or "")
        if label := dict(attrs).get("aria-label"):
            self.labels.append(label)
        if tag not in {"meta", "br", "img"}:
            self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.inside.pop() == tag, "tags are closed in order"

    def handle_data(self, data: str) -> None:
        if not {"head", "div"} & set(self.inside):
            self.words.append(data)


def read(message: MailMessage) -> Reader:
    assert message.html is not None
    return Reader(message.html)


@EVERY_LETTER
def test_each_letter_is_the_one_reviewed_in_golden(
    message: MailMessage, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.id
    fields = [f"to: {message.to}", f"subject: {message.subject}", f"id: {message.message_id}"]
    fields += [f"{field}: {value}" for field, value in message.headers.items()]
    made = {
        GOLDEN / f"{name}.txt": "\n".join(fields) + "\n\n" + message.text,
        GOLDEN / f"{name}.html": message.html or "",
    }
    for path, content in made.items():
        if os.environ.get("GOLDEN") == "write":
            path.write_text(content, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == content, "GOLDEN=write, then review the diff"


@EVERY_LETTER
def test_text_and_html_have_the_same_links_in_the_same_order(message: MailMessage) -> None:
    in_text = [line.strip() for line in message.text.splitlines() if "https://" in line]
    assert in_text == read(message).links


@EVERY_LETTER
def test_only_links_make_a_line_of_the_text_long(message: MailMessage) -> None:
    long = [line for line in message.text.splitlines() if width(line) > LINE]
    assert [line for line in long if not line.strip().startswith("https://")] == []


@EVERY_LETTER
def test_what_html_says_the_text_says_too(message: MailMessage) -> None:
    said = "".join(message.text.split())
    seen = ("".join(words.split()) for words in read(message).words)
    missing = [words for words in seen if words and words.strip(",.・、。") not in said]
    weekdays = set("月火水木金MTWF")
    assert [words for words in missing if words not in weekdays] == []


@EVERY_LETTER
def test_a_letter_stays_below_90_kb_and_its_subject_is_short(message: MailMessage) -> None:
    sent = replace(message, mail_from="app@example.jp")
    assert len(build(sent, date=NOW).data) < 90_000
    assert width(message.subject) <= 60


def test_each_row_shows_the_signs_of_its_days_and_says_the_same_in_words() -> None:
    message = LETTERS["digest-sato-ja"]
    seen = read(message)
    first = seen.words.index("□")
    assert seen.words[first : first + 5] == ["□", "△", "×", "△", "△"]
    assert seen.labels[1] == (
        "5日中4日報告: 月 未報告、火 遅れ気味、水 止まっている、木 遅れ気味、金 遅れ気味"
    )


def test_the_marks_differ_in_black_and_white() -> None:
    assert set(DAYS) == set(Mark)
    assert len({one.sign for one, _ in DAYS.values()}) == len(DAYS)


# --- the recap ---------------------------------------------------------------------------------


@EVERY_DIGEST
def test_the_counted_recap_has_at_most_five_lines_and_begins_with_what_is_stuck(
    facts: DigestFacts,
) -> None:
    lines = recap_of(facts.week, facts.locale)
    assert len(lines) <= LINES
    assert lines[0].startswith(("止まっている", "Blocked"))


def test_the_letter_says_which_recap_it_is() -> None:
    assert "報告の件数を自動で集計したものです。" in LETTERS["digest-sato-ja"].text
    assert "AIが報告をもとに書いた要約です。" in LETTERS["digest-sato-ai"].text


# --- what people wrote, many of it, none of it ----------------------------------------------------


def test_what_people_wrote_is_shown_and_does_nothing() -> None:
    facts = DIGESTS["digest-sato-ja"]
    week = Week(facts.week.first, facts.week.last, facts.week.today)
    week.days, week.members = facts.week.days, facts.week.members
    stuck = facts.week.blocked[0]
    assert stuck.last is not None
    hostile = replace(
        stuck, name=HOSTILE, title=HOSTILE, ref=HOSTILE, last=replace(stuck.last, text=HOSTILE)
    )
    week.blocked = [hostile]
    message = weekly_digest(replace(facts, week=week, name=HOSTILE, recap=[HOSTILE], recap_by="ai"))
    html = message.html or ""
    assert "<script" not in html
    assert "{{7*7}}" in html
    assert all(link.startswith("https://progress.example.jp/") for link in read(message).links)
    build(replace(message, mail_from="app@example.jp"), date=NOW)  # no header of theirs


def test_a_team_of_many_stays_one_letter() -> None:
    facts = DIGESTS["digest-shacho-ja"]
    week = facts.week
    many = Week(week.first, week.last, week.today, days=week.days)
    for n in range(400):
        many.members += [replace(one, id=1000 * n + one.id) for one in week.members]
        long = [replace(one, title="契約更新の確認" * 20) for one in week.blocked]
        many.blocked += long
        many.at_risk += long
        many.due += long
        many.overdue += long
        many.progress += week.progress
    every = list(Mark)
    many.members = [
        replace(one, marks=tuple(every[(n // 6**k) % 6] for k in range(5)), silent=9)
        for n, one in enumerate(many.members)
    ]
    message = weekly_digest(replace(facts, week=many))
    assert len(build(replace(message, mail_from="app@example.jp"), date=NOW).data) < 90_000
    assert "ほか" in message.text


@pytest.mark.parametrize(
    ("name", "subject", "first"),
    [
        ("digest-sato-ja", "報告なし(対象20人)", "先週は報告がありませんでした(対象20人)。"),
        ("digest-sato-en", "No reports (of 20)", "No reports last week (of 20)."),
    ],
)
def test_a_week_without_any_report_is_said_so(name: str, subject: str, first: str) -> None:
    facts = DIGESTS[name]
    none = [replace(one, reported=0) for one in facts.week.members]
    message = weekly_digest(replace(facts, week=replace(facts.week, members=none)))
    expected = str(sum(one.expected for one in none))
    assert message.subject.startswith(subject.replace("20", expected))
    assert first.replace("20", expected) in message.text


def test_a_week_without_a_workday_on_which_a_member_had_tasks_here_is_no_letter() -> None:
    facts = DIGESTS["digest-sato-ja"]
    empty = Week(date(2026, 11, 16), date(2026, 11, 22), date(2026, 11, 24), due=facts.week.due)
    with pytest.raises(ValueError, match="nothing"):
        weekly_digest(replace(facts, week=empty))


def test_an_escalation_of_nobody_is_no_letter() -> None:
    with pytest.raises(ValueError, match="nobody"):
        escalation(team_letters.escalation("ja"))


def test_an_escalation_of_many_names_the_longest_silent_and_says_how_many_more() -> None:
    many = [
        replace(ITO, member_id=n, workdays=n % 30 + 1, tasks=["x" * 500] * 50) for n in range(90)
    ]
    message = escalation(team_letters.escalation("ja", *many))
    assert "ほか70人" in message.text
    assert len(build(replace(message, mail_from="app@example.jp"), date=NOW).data) < 90_000


@pytest.mark.parametrize("facts", ESCALATIONS.values(), ids=ESCALATIONS)
def test_an_escalation_offers_help_and_blames_nobody(facts: EscalationFacts) -> None:
    words = escalation(facts).text
    assert re.search("[!！]|怠|サボ|違反|警告|violat|fail|late", words) is None
