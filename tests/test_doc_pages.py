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
    assert both >= {"README", "runbook", "troubleshooting", "rules", "csv", "systemd", "monitoring",
                    "scale", "security"}  # fmt: skip


def test_a_readme_fits_on_two_screens_and_the_japanese_pages_into_an_afternoon() -> None:
    """In characters: what stands before "Read on", and all that is Japanese only."""
    for name, end in (("README.md", "\n## Read on\n"), ("README.ja.md", "\n## さらに読む\n")):
        before, found, _ = doc_pages.read(PROJECT / name).partition(end)
        assert found
        assert len(before) < 5_500
        assert before.count("\n") < 125
    japanese = [one for one in PAGES if one.name.endswith(".ja.md")]
    assert sum(len(doc_pages.read(one)) for one in japanese) <= 40_000


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
    "file",
    [*PAGES, PROJECT / "CHANGELOG.md", PROJECT / "SECURITY.md", *DOCS.glob("decisions/*.md")],
    ids=lambda f: f.name,
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


# The program, the sample of its settings and what is handed to other programs name pages of docs/.
NAMES_PAGES = [*PROJECT.glob("app/**/*.py"), *PROJECT.glob("app/**/*.html"), PROJECT / ".env.example",
               *PROJECT.glob("deploy/*")]  # fmt: skip


def test_every_page_that_the_program_names_is_there_with_its_heading() -> None:
    named = {
        (file, link)
        for file in NAMES_PAGES
        for link in re.findall(r"\b(?:docs/[\w.-]+|README[\w.]*)\.md(?:#[\w-]+)?", file.read_text())
    }
    assert len(named) > 10
    assert [one for one in named if not leads_somewhere(PROJECT / "README.md", one[1])] == []


@pytest.fixture(scope="module")
def tests_there_are() -> set[str]:
    files = chain.from_iterable(
        (PROJECT / one).glob("test_*.py") for one in ("tests", "chaos", "e2e")
    )
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    return set(re.findall(r"^def (test_\w+)", text, re.M)) | {
        file.stem for one in ("tests", "chaos", "e2e") for file in (PROJECT / one).glob("test_*.py")
    }


_TEST = r"test_(?!token\b)\w+"  # `test_token` is a reason of a mail


@pytest.mark.parametrize("file", PAGES, ids=lambda f: f.name)
def test_every_test_that_a_page_names_exists(file: Path, tests_there_are: set[str]) -> None:
    named = re.findall(rf"\b({_TEST})(\.\.\.)?", doc_pages.read(file))
    missing = [
        name
        for name, more in named
        if name not in tests_there_are
        and not (more and any(t.startswith(name) for t in tests_there_are))
    ]
    assert missing == []


# Those who operate it need no names of tests; those who audit or develop it do.
NAMES_TESTS = {"evidence", "tests", "architecture", "performance", "reliability", "dependencies"}


@pytest.mark.parametrize(
    "file", [one for one in PAGES if one.stem not in NAMES_TESTS], ids=lambda f: f.name
)
def test_a_page_for_operators_names_no_test(file: Path) -> None:
    assert re.findall(rf"\b{_TEST}|tests/\w+", doc_pages.read(file)) == []


def test_each_promise_rule_and_fault_has_its_evidence() -> None:
    """Every row of the page names a test, a rule of the house or a row of reliability.md."""
    text = doc_pages.read(DOCS / "evidence.md")
    rows = re.findall(r"^\| (?!promise |rule |fault |point |what |---).*", text, re.M)
    assert len(rows) > 60
    shown = re.compile(r"`test_\w+`|`(?:tests|chaos|tools)/[\w/]+\.py|`make licences`")
    assert [row for row in rows if not shown.search(row)] == []


def test_nothing_that_people_read_says_delivered() -> None:
    """What a mail server accepted may still be lost: the sixth promise."""
    said = re.compile(r"\bdelivered\b|届きました|届けました|配信しました")
    files = [
        *PROJECT.glob("app/**/*.py"),
        *PROJECT.glob("app/**/*.html"),
        *PROJECT.glob("app/**/*.txt"),
    ]
    lines = [(file.name, line) for file in files for line in file.read_text().splitlines()]
    assert [one for one in lines if said.search(one[1])] == []


# --- what the code knows, the pages explain -----------------------------------------------------


def test_every_alert_state_and_reason_stands_in_its_table_with_words_in_both_languages() -> None:
    """No other does."""
    sections = doc_pages.read(DOCS / "alerts.md").split("\n## ")[1:]
    known = [[*map(str, one)] for one in ([*Alarm], [*State], [*REASONS])]
    for section, there_are in zip(sections, known, strict=True):
        rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|", section, re.M)
        assert sorted(row[0] for row in rows) == sorted(there_are)
        assert [row for row in rows if row[1].isascii() or not row[2].strip()] == []


@in_both
def test_every_command_of_ours_that_an_operator_types_is_explained(suffix: str) -> None:
    """Somewhere on the operator's pages or in the README."""
    names = ("runbook", "troubleshooting", "systemd", "scale", "monitoring", "security")
    pages = [one for name in names if (one := page(name, suffix)).exists()]
    text = "\n".join(map(doc_pages.read, [*pages, DOCS / "api.md", PROJECT / f"README{suffix}"]))
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


def test_all_that_the_specification_speaks_of_is_answered_on_one_page() -> None:
    text = doc_pages.read(DOCS / "specification.md")
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
    ("rules", "heading"), [("rules.md", "What it promises"), ("rules.ja.md", "約束すること")]
)
def test_both_pages_of_rules_make_the_six_promises(rules: str, heading: str) -> None:
    section = doc_pages.read(DOCS / rules).partition(f"## {heading}\n")[2].partition("\n## ")[0]
    sentences = re.split(r"^\d\. ", section, flags=re.M)[1:]
    assert len(sentences) == len(PROMISE)
    for said, wanted in zip(sentences, PROMISE, strict=True):
        named = set(re.findall(r"[A-Za-z_][A-Za-z_-]*|\d+", said))
        assert wanted - named == set(), said


def test_the_english_promise_claims_no_more_than_the_japanese() -> None:
    """The numbers and names of a sentence are the same in both."""
    for numbers in zip(*(promises(name) for name in ("rules.md", "rules.ja.md")), strict=True):
        assert numbers[0] == numbers[1]


def promises(rules: str) -> list[set[str]]:
    """Of the first five sentences: states, settings and numbers ("one" is a word in English)."""
    text = doc_pages.read(DOCS / rules)
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


def test_the_morning_that_was_played_is_written_down() -> None:
    text = doc_pages.read(DOCS / "day.md")
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
