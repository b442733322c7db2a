"""Sentences that exist in both languages, side by side, so that neither is forgotten.

`Both("日本語", "English")` is one sentence; `str()` of it gives both (for errors that must
be read by whoever sees them), `.to("ja")` one of them. See docs/decisions/0003.
"""

from typing import NamedTuple


class Both(NamedTuple):
    """One sentence in Japanese and in English."""

    ja: str
    en: str

    def to(self, locale: str) -> str:
        """The sentence in `locale` ("ja", "en", "ja_JP.UTF-8", ...); Japanese unless English."""
        return self.en if locale.lower().startswith("en") else self.ja

    def __str__(self) -> str:
        """Both, as errors show them."""
        return f"{self.ja} / {self.en}"
