"""Sentences that exist in both languages, side by side, so that neither is forgotten.

`Both("日本語", "English")` is one sentence; `str()` of it gives both (for errors that must
be read by people of both languages), `.to("ja")` one of them. See docs/decisions/0003.
"""

import errno
from collections.abc import Mapping
from typing import NamedTuple


class Both(NamedTuple):
    """One sentence in Japanese and in English."""

    ja: str
    en: str

    def to(self, locale: str) -> str:
        """The sentence in `locale` ("ja", "en", "ja_JP.UTF-8", ...); Japanese unless English."""
        return self.en if locale.lower().startswith("en") else self.ja

    @classmethod
    def made(cls, *said: "Both | str") -> "Both":
        """A pair as it stands, two sentences, or one text, such as a command, for both languages."""
        first, last = said[0], said[-1]
        return first if isinstance(first, Both) else cls(first, str(last))

    @classmethod
    def of(cls, said: object) -> "Both":
        """A pair as JSON keeps it, or what `str` made of one; another text says the same in both.

        Both may quote a text that holds " / ", so the latter is parted at the middle one.
        """
        if isinstance(said, (list, tuple)):
            return cls(*map(str, said))
        parts = (text := str(said)).split(" / ")
        half = len(parts) // 2
        ja, en = " / ".join(parts[:half]), " / ".join(parts[half:])
        return cls(text, text) if len(parts) % 2 or ja.isascii() else cls(ja, en)

    def first(self, locale: str) -> tuple[str, ...]:
        """Both sentences, that of `locale` first; one, where they are the same."""
        one = self.to(locale)
        return (one, *(other for other in self if other != one))

    def __str__(self) -> str:
        """Both, as errors show them."""
        return f"{self.ja} / {self.en}"


class Passing(Both):
    """What is wrong, and may come right without a hand: a disk that is mounted late, a file that
    cannot be read yet.
    """

    __slots__ = ()


def counted(number: int, noun: str) -> str:
    """English: "1 mail", "2 mails"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def shell_locale(environ: Mapping[str, str]) -> str:
    """The language of the shell as every Unix program takes it (POSIX, XBD 8.2), "ja" if none."""
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    return next((environ[name] for name in names if environ.get(name)), "ja")


_OF_THE_SYSTEM = {
    errno.ENOENT: "ありません",
    errno.EISDIR: "フォルダーです",
    errno.ENOTDIR: "フォルダーではありません",
    errno.EACCES: "権限がありません",
    errno.EPERM: "権限がありません",
    errno.ENOSPC: "ディスクに空きがありません",
    errno.EROFS: "読み取り専用です",
}


def of_the_system(error: OSError) -> Both:
    """What the system says went wrong; only the common errors have Japanese words."""
    english = error.strerror or type(error).__name__
    return Both(_OF_THE_SYSTEM.get(error.errno or 0, english), english)
