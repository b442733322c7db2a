"""PURE. How the program refuses: a word that never changes, and a sentence for people.

Each door turns the word into what it has: the pages into a status (app/web/refusals.py), the
commands into an exit code (app/cli/refusals.py).
"""

from enum import StrEnum

from app.locale import Both


class Code(StrEnum):
    """Every reason to refuse; docs/refusals.md lists them for programs."""

    UNUSABLE_VALUE = "unusable_value"


class Refused(Exception):
    """Nothing was done. `code` tells a program why, `sentence` a person what and what to do.

    `retry_after`: seconds after which the same may work. `args` stay those of the call: an error
    that a worker's child hands to its parent is made anew from them.
    """

    def __init__(self, code: Code, sentence: Both, retry_after: int | None = None) -> None:
        self.code = code
        self.sentence = sentence
        self.retry_after = retry_after

    def __str__(self) -> str:
        return str(self.sentence)


class UnusableValue(Refused, ValueError):
    """What was typed is no such value. `of`: the kind of sentence, Passing where waiting helps."""

    def __init__(self, ja: str, en: str, of: type[Both] = Both) -> None:
        super().__init__(Code.UNUSABLE_VALUE, of(ja, en))
