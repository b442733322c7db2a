"""What an AI says is believed only as far as it can be checked."""

import json
from typing import Any

import pytest

from app.ai.answer import Unusable, read
from app.ai.prompt import LINES, Prompt
from app.compose.text import Locale

PROMPT = Prompt(
    messages=({"role": "user", "content": "…"},),
    reports={11: "blocked", 12: "moved", 13: "moved"},
    stand_ins={"Member-1": "鈴木 一郎", "Task-2": "単体テストの追加"},
)
STUCK = {"text": "Task-2がMember-1さんの手元で止まっています。", "reports": [11]}
GOES_ON = {"text": "ほかは予定どおり進んでいます。", "reports": [12, 13]}


def answer(*lines: object) -> str:
    return json.dumps({"lines": lines}, ensure_ascii=False)


def test_a_good_answer_is_lines_with_names_and_their_reports() -> None:
    lines = read(answer(STUCK, GOES_ON), PROMPT, "ja")
    assert [one.shown() for one in lines] == [
        "単体テストの追加が鈴木 一郎さんの手元で止まっています。 [#11]",
        "ほかは予定どおり進んでいます。 [#12, #13]",
    ]


def test_an_answer_in_a_fence_is_read_too() -> None:
    assert read(f"```json\n{answer(STUCK)}\n```", PROMPT, "ja")


def line(text: str, *reports: int, **more: Any) -> dict[str, Any]:
    return {"text": text, "reports": list(reports or (11,)), **more}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (" \n", "empty"),
        (answer(), "empty"),
        (answer(line("  ")), "empty"),
        ("先週は順調でした。", "no_json"),
        ('{"lines": [', "no_json"),
        ("[" * 100_000, "no_json"),
        ("[]", "no_json"),
        ('{"lines": "なし"}', "no_json"),
        (answer("なし"), "no_json"),
        (answer({"text": 3, "reports": [11]}), "no_json"),
        (answer({"text": "止まっています。", "reports": ["11"]}), "no_json"),
        (answer({"text": "止まっています。", "reports": [True]}), "no_json"),
        (answer({"text": "止まっています。", "reports": []}), "no_report_named"),
        (answer(*[STUCK] * (LINES + 1)), "too_long"),
        (answer(line("止" * 76)), "too_long"),
        (answer(line("止まっています。", 11, 12, 13, 14)), "too_long"),
        (answer(line("止まっています。", 11, 99)), "made_up_report"),
        (answer(line("Member-9さんが止まっています。")), "made_up_name"),
        (answer(GOES_ON, STUCK), "blocked_not_first"),
        (answer(GOES_ON), "blocked_not_first"),
    ],
)
def test_what_is_not_as_asked_is_not_used(text: str, why: str) -> None:
    with pytest.raises(Unusable, match=rf"^{why}$"):
        read(text, PROMPT, "ja")


@pytest.mark.parametrize(
    "text",
    [
        "詳しくは https://evil.example/ をご覧ください。",
        "www.evil をご覧ください。",
        "evil.example で止まっています。",
        "boss@evil にメールしてください。",
        "boss＠evil にメールしてください。",
        "[止まっています](こちら)。",
        "<b>止まっています</b>。",
        "`rm`で止まっています。",
        "止まって\nBcc: います。",
        "止まって\u202eいます。",
        "javascript:で止まっています。",
    ],
)
def test_links_addresses_and_markup_are_no_plain_text(text: str) -> None:
    with pytest.raises(Unusable, match=r"^no_plain_text$"):
        read(answer(line(text)), PROMPT, "ja")


@pytest.mark.parametrize(
    ("text", "locale"),
    [
        ("Task-2 is blocked.", "ja"),
        ("单元测试停滞不前。", "ja"),
        ("Task-2がMember-1で止まっています。", "en"),
        ("Задача стоит уже неделю.", "en"),
        ("12 %", "en"),
    ],
)
def test_another_language_than_the_readers_is_not_used(text: str, locale: Locale) -> None:
    with pytest.raises(Unusable, match=r"^wrong_language$"):
        read(answer(line(text)), PROMPT, locale)


def test_an_english_line_may_name_what_has_a_japanese_name() -> None:
    (one,) = read(answer(line("Task-2 of Member-1 is blocked.")), PROMPT, "en")
    assert one.text == "単体テストの追加 of 鈴木 一郎 is blocked."
    named = Prompt(reports=PROMPT.reports, known=frozenset(PROMPT.stand_ins.values()))
    assert read(answer(line("単体テストの追加 of 鈴木 一郎 is blocked.")), named, "en")
