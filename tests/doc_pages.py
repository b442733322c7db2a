"""The pages of the documentation as the tests read them: commands, headings, links.

A fenced block is a shell's when it says so (bash, sh, console), or when it says nothing and its first
line is a command; where a block has lines that begin with `$ `, only those are typed.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.stack import PROJECT

PAGES = sorted([*PROJECT.glob("README*.md"), *PROJECT.glob("docs/*.md")])
PAIRS = [
    (page, page.with_suffix(".ja.md")) for page in PAGES if page.with_suffix(".ja.md") in PAGES
]

SHELLS = {"bash", "sh", "shell", "console"}
PROGRAMS = {
    "task-progress", "celery", "make", "redis-cli", "curl", "sudo", "systemctl", "journalctl",
    "cp", "cd", "git", "python3", "chmod", "apt",
}  # fmt: skip
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```", re.M | re.S
)
_SETTING = re.compile(r"[A-Z][A-Z0-9_]*=.*")
# What the shell makes of it, on the day of the sample team.
_TODAY = {"$(date +%F)": "2026-11-24"}
_ENDS = {"&&", "||", ";", "|"}


@dataclass(frozen=True)
class Command:
    """One program with its arguments, as somebody types it. `user`: whom sudo makes of them."""

    words: tuple[str, ...]
    user: str | None = None
    page: str = ""

    @property
    def program(self) -> str:
        """`celery` for `/path/to/venv/bin/celery`."""
        return Path(self.words[0]).name

    @property
    def arguments(self) -> tuple[str, ...]:
        """What follows the program."""
        return self.words[1:]

    def __str__(self) -> str:
        return shlex.join((self.program, *self.arguments))


@cache
def read(page: Path) -> str:
    """The page's text."""
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """The page without its blocks."""
    return _FENCE.sub("", read(page))


def headings(page: Path) -> list[str]:
    """`## Words`, in order."""
    return re.findall(r"^#+ .+$", prose(page), re.M)


def anchors(page: Path) -> set[str]:
    """What `#…` may name on the page, by GitHub's rule."""
    titles = [line.lstrip("#").strip().lower() for line in headings(page)]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def links(page: Path) -> list[str]:
    """All targets of links and pictures that lead to a file of ours."""
    text = prose(page)
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'<img src="([^"]+)"', text)
    return [one for one in found if not re.match(r"[a-z]+:", one)]


def typed(page: Path) -> list[str]:
    """The lines of the page's shell blocks, without comments; long ones joined."""
    return [line for block in _FENCE.finditer(read(page)) for line in _lines(block)]


def _lines(block: re.Match[str]) -> Iterator[str]:
    text = block["text"].replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    shell = block["language"] in SHELLS or (not block["language"] and _is_typed(lines))
    if prompted:
        yield from prompted
    elif shell:
        yield from (line for line in lines if not line.startswith("#"))


def scripts(page: Path) -> list[str]:
    """The page's shell blocks as they stand, each a whole script."""
    return [one["text"] for one in _FENCE.finditer(read(page)) if one["language"] in SHELLS]


def shown(page: Path) -> list[tuple[str, list[str]]]:
    """Each line behind a `$ `, and the output that the page shows below it."""
    blocks = [one["text"] for one in _FENCE.finditer(read(page)) if one["text"].startswith("$ ")]
    return [(line[2:], rest) for line, *rest in map(str.splitlines, blocks)]


def _is_typed(lines: list[str]) -> bool:
    first = next((line for line in lines if not line.startswith("#")), "")
    return any(Path(word).name in PROGRAMS for word in first.split()[:2])


def settings(page: Path) -> list[str]:
    """The names of settings that the page's blocks give a value."""
    blocks = [one["text"] for one in _FENCE.finditer(read(page)) if one["language"] in {"", "env"}]
    lines = [line.strip() for text in blocks for line in text.splitlines()]
    return [line.partition("=")[0] for line in lines if _SETTING.fullmatch(line)]


def commands(page: Path) -> list[Command]:
    """Every program of the page's shell blocks, also those joined by && or |."""
    lines = [line for line in typed(page) if not _SETTING.fullmatch(line.split(" #")[0])]
    return [one for line in lines for one in split(line, page.name)]


def split(line: str, page: str = "") -> list[Command]:
    """The programs of one line, without what is redirected, set before it, or sudo."""
    for written, means in _TODAY.items():
        line = line.replace(written, means)
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = "#"
    parts: list[list[str]] = [[]]
    words = iter(lexer)
    for word in words:
        if word in _ENDS:
            parts.append([])
        elif word in {">", ">>", "<"}:
            next(words, None)
        else:
            parts[-1].append(word)
    return [_command(part, page) for part in parts if part]


def _command(words: list[str], page: str) -> Command:
    while words and _SETTING.fullmatch(words[0]) and len(words) > 1:
        words = words[1:]
    user = None
    if words[0] == "sudo":
        user, words = ("root", words[1:]) if words[1] != "-u" else (words[2], words[3:])
    return Command(tuple(words), user, page)


def mentions(page: Path) -> list[str]:
    """What stands in `…` within the text."""
    return re.findall(r"`([^`\n]+)`", prose(page))
