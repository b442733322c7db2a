"""How the program refuses: one base, a word that never changes, a sentence in both languages."""

import pickle

from app.locale import Both, Passing
from app.mime.address import UnusableMessage
from app.refused import Code, Refused, UnusableValue

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
