"""The pages agree: with each other in both languages, with the code, with the specification."""

import re
from itertools import chain
from pathlib import Path

import pytest

from app.alerts.catalogue import Alarm
from app.cli import cli
from app.models import State
from app.outbox.reasons import REASONS
from rehearsal import protocol
from tests import doc_pages
from tests.doc_pages import PAGES, PAIRS
from tests.specification import COMMANDS, SPOKEN_OF
from tests.stack import PROJECT

pytestmark = pytest.mark.slow

DOCS = PROJECT / "docs"
in_both = pytest.mark.parametrize("suffix", [".md", ".ja.md"])
each_pair = pytest.mark.parametrize(
    ("english", "japanese"), PAIRS, ids=lambda page: page.name.partition(".")[0]
)


def page(name: str, suffix: str) -> Path:
    return DOCS / f"{name}{suffix}"


# --- English and Japanese -----------------------------------------------------------------------


def test_the_pages_of_an_operator_are_there_in_both_languages() -> None:
    both = {english.stem for english, _ in PAIRS}
    assert both >= {"README", "runbook", "troubleshooting", "scale", "day", "systemd", "redis"}


@each_pair
def test_both_languages_have_the_same_headings(english: Path, japanese: Path) -> None:
    levels = [[one.split(" ")[0] for one in doc_pages.headings(p)] for p in (english, japanese)]
    assert levels[0] == levels[1]


@each_pair
def test_both_languages_have_the_same_commands(english: Path, japanese: Path) -> None:
    said = [list(map(str, doc_pages.commands(one))) for one in (english, japanese)]
    assert said[0] == said[1]


@each_pair
def test_both_languages_name_the_same_tests_and_settings(english: Path, japanese: Path) -> None:
    names = re.compile(r"`?\b(test_\w+|[A-Z]+_[A-Z_]{2,})\b")
    said = [set(names.findall(doc_pages.prose(one))) for one in (english, japanese)]
    assert said[0] ^ said[1] == set()


@each_pair
def test_each_leads_to_the_other(english: Path, japanese: Path) -> None:
    assert japanese.name in doc_pages.links(english)
    assert english.name in doc_pages.links(japanese)


# --- links and names ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file", [*PAGES, PROJECT / "CHANGELOG.md", *DOCS.glob("decisions/*.md")], ids=lambda f: f.name
)
def test_every_link_leads_somewhere(file: Path) -> None:
    assert [link for link in doc_pages.links(file) if not leads_somewhere(file, link)] == []


def leads_somewhere(file: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = file.parent / path if path else file
    return target.exists() and (not anchor or anchor in doc_pages.anchors(target))


def test_a_link_that_leads_nowhere_would_be_seen() -> None:
    readme = PROJECT / "README.md"
    assert not leads_somewhere(readme, "docs/runbok.md")
    assert not leads_somewhere(readme, "docs/runbook.md#nowhere")


@pytest.fixture(scope="module")
def tests_there_are() -> set[str]:
    files = chain.from_iterable(
        (PROJECT / one).glob("test_*.py") for one in ("tests", "chaos", "e2e")
    )
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    return set(re.findall(r"^def (test_\w+)", text, re.M)) | {
        file.stem for one in ("tests", "chaos", "e2e") for file in (PROJECT / one).glob("test_*.py")
    }


@pytest.mark.parametrize("file", PAGES, ids=lambda f: f.name)
def test_every_test_that_a_page_names_exists(file: Path, tests_there_are: set[str]) -> None:
    named = re.findall(r"\b(test_\w+)(\.\.\.)?", doc_pages.read(file))
    missing = [
        name
        for name, more in named
        if name not in tests_there_are
        and not (more and any(t.startswith(name) for t in tests_there_are))
    ]
    assert missing == []


# --- what the code knows, the pages explain -----------------------------------------------------


@in_both
@pytest.mark.parametrize("alarm", Alarm)
def test_every_alarm_has_its_entry(alarm: Alarm, suffix: str) -> None:
    assert f"### {alarm}" in doc_pages.headings(page("troubleshooting", suffix))


@in_both
def test_every_state_and_every_reason_stands_in_a_table(suffix: str) -> None:
    text = doc_pages.read(page("troubleshooting", suffix))
    rows = set(re.findall(r"^\| `(\w+)` \|", text, re.M))
    assert rows == {*map(str, State), *map(str, REASONS)}


@in_both
def test_every_command_of_ours_that_an_operator_types_is_explained(suffix: str) -> None:
    """Somewhere on the operator's pages or in the README."""
    names = ("runbook", "troubleshooting", "systemd", "scale", "monitoring", "security", "care")
    pages = [one for name in names if (one := page(name, suffix)).exists()]
    text = "\n".join(map(doc_pages.read, [*pages, PROJECT / f"README{suffix}"]))
    unsaid = [name for name in cli.commands if not re.search(rf"task-progress {name}\b", text)]
    assert set(unsaid) <= {"run", "sample"}  # those of `make run`


# --- the specification --------------------------------------------------------------------------


@in_both
def test_every_command_of_the_specification_stands_in_the_runbook(suffix: str) -> None:
    """As it stands there; only the way to the program may differ."""
    lines = [
        re.sub(r"^\S*/(?=celery)", "", one) for one in doc_pages.typed(page("runbook", suffix))
    ]
    assert [one for one in COMMANDS if one not in lines] == []


@in_both
def test_all_that_the_specification_speaks_of_is_spoken_of(suffix: str) -> None:
    pages = ("runbook", "troubleshooting", "scale")
    text = "\n".join(doc_pages.read(page(name, suffix)) for name in pages)
    assert [one for one in SPOKEN_OF if one not in text] == []


# --- the promise --------------------------------------------------------------------------------

# What each of the six sentences names, in whichever language.
PROMISE = (
    {"expired"},
    {"accepted", "failed", "dead", "unknown", "suppressed", "cancelled", "expired", "10", "30"},
    {"SMTP_CONNECTIONS", "Message-ID", "1"},
    {"Redis", "5"},
    {"AI"},
    set[str](),
)


@pytest.mark.parametrize(
    ("readme", "heading"), [("README.md", "What it promises"), ("README.ja.md", "約束すること")]
)
def test_both_readmes_make_the_six_promises(readme: str, heading: str) -> None:
    section = doc_pages.read(PROJECT / readme).partition(f"## {heading}\n")[2].partition("\n## ")[0]
    sentences = re.split(r"^\d\. ", section, flags=re.M)[1:]
    assert len(sentences) == len(PROMISE)
    for said, wanted in zip(sentences, PROMISE, strict=True):
        named = set(re.findall(r"[A-Za-z_][A-Za-z_-]*|\d+", said))
        assert wanted - named == set(), said


def test_the_english_promise_claims_no_more_than_the_japanese() -> None:
    """The numbers and names of a sentence are the same in both."""
    for numbers in zip(*(promises(name) for name in ("README.md", "README.ja.md")), strict=True):
        assert numbers[0] == numbers[1]


def promises(readme: str) -> list[set[str]]:
    """Of the first five sentences: states, settings and numbers ("one" is a word in English)."""
    text = doc_pages.read(PROJECT / readme)
    found = re.findall(r"^[1-6]\. .*(?:\n   .*)*", text[text.rindex("\n1. ") :], re.M)[:5]
    states = "|".join(map(str, State))
    return [
        set(re.findall(rf"\b(?:{states})\b|\b[A-Z]+_[A-Z]+\b|Message-ID|\d+", one[2:])) - {"1"}
        for one in found
    ]


# --- the repository, the day --------------------------------------------------------------------


def test_no_secret_can_come_into_the_repository() -> None:
    ignored = (PROJECT / ".gitignore").read_text().split()
    assert {"/.env", "/data/"} <= set(ignored)
    sample = (PROJECT / ".env.example").read_text(encoding="utf-8")
    assert re.findall(r"^[^#\n].*", sample, re.M) == []
    assert re.findall(r"^#(?:SMTP_PASSWORD|SECRET_KEY\w*|AI_API_KEY)=.+", sample, re.M) == []


@in_both
def test_the_morning_that_was_played_is_written_down(suffix: str) -> None:
    text = doc_pages.read(page("day", suffix))
    assert "SCALE=1" in text
    for alarm in (Alarm.MAIL_SERVER, Alarm.NOT_ATTEMPTED):
        assert f"`{alarm}`" in text


def test_a_protocol_is_written_between_its_markers(tmp_path: Path) -> None:
    file = tmp_path / "day.md"
    file.write_text("before\n<!-- played: begin -->\nold\n<!-- played: end -->\nafter\n")
    protocol.write(file, "| new |")
    assert file.read_text() == (
        "before\n<!-- played: begin -->\n| new |\n<!-- played: end -->\nafter\n"
    )
    file.write_text("no markers")
    with pytest.raises(ValueError, match=r"day\.md"):
        protocol.write(file, "| new |")
