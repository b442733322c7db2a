"""How the program refuses: one base, a word that never changes, a sentence in both languages."""

import pickle
import re
from pathlib import Path

from app import create_app
from app.api import problems
from app.cli.refusals import exit_code
from app.config import Config
from app.locale import Both, Passing
from app.mime.address import UnusableMessage
from app.refused import Code, Refused, UnusableValue
from app.services import Services
from app.web.refusals import status_of
from tests.databases import on_sqlite

PROJECT = Path(__file__).resolve().parent.parent
APP, DOCS = PROJECT / "app", PROJECT / "docs"
SENTENCE = Both("いまはできません。", "Not now.")


def test_a_refusal_has_a_code_a_sentence_and_when_to_try_again() -> None:
    refused = Refused(Code.UNUSABLE_VALUE, SENTENCE, retry_after=30)
    assert (refused.code, refused.sentence, refused.retry_after) == (
        "unusable_value",
        SENTENCE,
        30,
    )
    assert str(refused) == "いまはできません。 / Not now."


def test_a_refusal_passes_from_one_process_to_another() -> None:
    for refused in (
        Refused(Code.UNUSABLE_VALUE, SENTENCE, retry_after=30),
        UnusableValue(*SENTENCE, of=Passing),
        UnusableMessage("to", SENTENCE),
    ):
        again = pickle.loads(pickle.dumps(refused))  # noqa: S301 - made here
        assert type(again) is type(refused)
        assert vars(again) == vars(refused)
        assert type(again.sentence) is type(refused.sentence)


def test_what_cannot_be_used_is_a_value_error_for_callers_outside() -> None:
    assert issubclass(UnusableValue, ValueError)
    assert issubclass(UnusableMessage, UnusableValue)


def test_each_code_is_used_by_some_refusal() -> None:
    """A word that nothing says would mislead whoever programs against it."""
    doors = {"refusals.py", "problems.py", "refused.py"}
    sources = [file.read_text() for file in APP.glob("**/*.py") if file.name not in doors]
    said = {name for text in sources for name in re.findall(r"\bCode\.([A-Z_]+)", text)}
    assert said | {Code.UNUSABLE_VALUE.name} == set(Code.__members__)


def test_each_code_stands_in_the_table_as_the_doors_turn_it() -> None:
    """In one row for both languages."""
    page = (DOCS / "refusals.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| .+ \| .+ \| (\d) \| (\d+) \| (\d+) \|$", page, re.M)
    refused = [Refused(code, SENTENCE) for code in Code]
    assert rows == [
        (
            str(one.code),
            str(exit_code(one.code)),
            str(status_of(one)),
            str(problems.status_of(one.code)),
        )
        for one in refused
    ]


@on_sqlite
def test_what_no_page_shows_by_itself_has_its_status_and_its_sentence(
    config: Config, services: Services
) -> None:
    app = create_app(config, services)

    @app.get("/refusing")
    def refusing() -> str:
        raise Refused(Code.ALREADY_NUDGED, SENTENCE, retry_after=45)

    answer = app.test_client().get("/refusing?lang=en")
    assert (answer.status_code, answer.headers["Retry-After"]) == (422, "45")
    assert SENTENCE.en in answer.text or SENTENCE.ja in answer.text
    assert app.test_client().get("/r/cut").status_code == 404
    app.extensions["beside"].shutdown()
