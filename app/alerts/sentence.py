"""PURE. The parts from which the sentences of alerts are made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.locale import Both

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
