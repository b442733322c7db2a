"""PURE. The parts from which the sentences of alerts are made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.locale import Both, counted

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AlertWords:
    """What is the matter, in one sentence, and what to do about it."""

    what: Both
    fix: Both


def words(ja: str, en: str, *fix: Both | str) -> AlertWords:
    """The sentence in both languages, and what to do, as a pair or as two sentences."""
    return AlertWords(Both(ja, en), Both.made(*fix))


PARTS = {
    "beat": Both("Celery Beat(定期処理の開始役)", "Celery beat, which starts the ticks,"),
    "worker-mail": Both("メールのワーカー", "The mail worker"),
    "worker-ai": Both("AI のワーカー", "The AI worker"),
    "tick": Both("定期処理", "A tick"),
    "timer": Both("安全タイマー", "The safety timer"),
}


def span(seconds: float) -> Both:
    """A length of time, roughly, as people say it."""
    if seconds >= 2 * 86_400:
        return Both(f"{round(seconds / 86_400)}日", f"{round(seconds / 86_400)} days")
    if seconds >= 2 * 3_600:
        return Both(f"{round(seconds / 3_600)}時間", f"{round(seconds / 3_600)} hours")
    return Both(f"{round(seconds / 60)}分", counted(round(seconds / 60), "minute"))
