"""A unit file as systemd reads it, as far as the tests need it."""

import shlex
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Unit:
    """The settings of a unit, in order, as (section, name, value)."""

    lines: list[tuple[str, str, str]]

    @classmethod
    def read(cls, file: Path) -> "Unit":
        """The unit in `file`."""
        return cls.parse(file.read_text(encoding="utf-8"))

    @classmethod
    def parse(cls, text: str) -> "Unit":
        """The unit with this text."""
        section, found = "", []
        for line in text.splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif line and line[0] not in "#;":
                name, _, value = line.partition("=")
                found.append((section, name, value))
        return cls(found)

    def all(self, name: str) -> list[str]:
        """All values of `name`, in order."""
        return [value for _, known, value in self.lines if known == name]

    def one(self, name: str) -> str:
        """The value of `name`, which stands there once."""
        (value,) = self.all(name)
        return value

    @property
    def command(self) -> list[str]:
        """ExecStart= with its specifiers filled in."""
        words = shlex.split(self.one("ExecStart"))
        return [word.replace("%H", socket.gethostname()).replace("%%", "%") for word in words]
