"""One vocabulary of marks: what stands in app/compose/colours.py is what everything shows."""

import re
from pathlib import Path

import pytest

from app.compose.colours import GOOD, NOTHING, SIGNS, UNREPORTED
from app.web.outbox_labels import MARKS
from app.web.team_labels import STANDINGS

APP = Path(__file__).parents[1] / "app"
SHEET = (APP / "static" / "style.css").read_text(encoding="utf-8")
# Their homes: the vocabulary, and the sheet that draws it.
HOMES = {"compose/colours.py", "static/style.css"}


def test_the_sheet_draws_each_mark_as_the_vocabulary_has_it() -> None:
    drawn = dict(re.findall(r'\.state\.([a-z-]+)::before \{ content: "(.)" / "";', SHEET))
    assert drawn == {one.style: one.sign for one in SIGNS}


def test_nobody_writes_a_mark_of_their_own() -> None:
    found = [
        f"{name}: {mark}"
        for file in APP.rglob("*")
        if file.suffix in {".py", ".html", ".txt", ".css"}
        and (name := str(file.relative_to(APP))) not in HOMES
        for mark in re.findall("[●▲■○△□◆◇〇]", file.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize("labels", [MARKS, STANDINGS])
def test_pages_know_only_classes_of_the_vocabulary(
    labels: dict[object, tuple[str, object]],
) -> None:
    known = {one.style for one in (*SIGNS, NOTHING)}
    assert {style for style, _ in labels.values()} <= known


def test_a_circle_is_good_and_an_empty_box_is_to_be_filled() -> None:
    assert (GOOD.sign, GOOD.tone, UNREPORTED.sign, UNREPORTED.tone) == ("○", "teal", "□", "ink")
