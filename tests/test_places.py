"""The places that pages offer are ones that the rules know."""

import pytest

from app.locale import Both
from app.people import values
from app.people.setting_names import CHOICES


@pytest.mark.parametrize("key", ["timezone", "holidays", "weekend"])
def test_each_choice_is_a_value_that_can_be_set(key: str) -> None:
    for value, name in CHOICES[key]:
        read = values.read({key: value}, values.MEMBER_SETTINGS)
        assert values.typed(key, read[key]) == value
        assert name.ja
        assert name.en


@pytest.mark.parametrize("key", ["timezone", "holidays", "weekend"])
def test_no_two_choices_look_alike(key: str) -> None:
    names: list[Both] = [name for _, name in CHOICES[key]]
    assert len({one.ja for one in names}) == len({one.en for one in names}) == len(names)
