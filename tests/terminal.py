"""A shell in which `task-progress` is typed: in this process for speed, or the real program."""

import json
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app import clock
from app.cli import main
from app.config.sources import HOME
from tests.databases import open_connections

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "-m", "app.cli"]


@dataclass
class Ran:
    """What one run of the program left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output as JSON."""
        return json.loads(self.out)


class Terminal:
    """Runs `task-progress` in a folder of its own with the settings of the test."""

    def __init__(
        self,
        environ: dict[str, str],
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.settings = environ
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.capsys = capsys

    def run(self, *arguments: str, **environ: str) -> Ran:
        """In this process, for speed; nobody can be asked."""
        self.capsys.readouterr()
        before = set(open_connections)
        with self.monkeypatch.context() as patch:
            for name, value in (self.settings | environ).items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            patch.setenv(HOME, str(self.folder))
            try:
                code = main(arguments)
            except SystemExit as error:  # the settings are refused
                code = int(str(error.code))
            finally:
                clock.shift(0)
        assert set(open_connections) <= before, "the command leaves a connection open"
        out, err = self.capsys.readouterr()
        assert "Traceback" not in err
        return Ran(code, out, err)

    def start(
        self, *arguments: str, before: tuple[str, ...] = (), **options: Any
    ) -> subprocess.Popen[str]:
        """The real program; leaves it running. `before`: a command that starts it."""
        return subprocess.Popen(
            [*before, *COMMAND, *arguments],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), HOME: str(self.folder)}
            | self.settings
            | options.pop("environ", {}),
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )

    def program(self, *arguments: str, **options: Any) -> Ran:
        """The real program, from start to end."""
        with self.start(*arguments, **options) as process:
            out, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        return Ran(process.returncode, out, err)

    def asked(self, *arguments: str, answer: str) -> Ran:
        """At a terminal, with somebody who answers."""
        ours, theirs = pty.openpty()
        os.write(ours, f"{answer}\n".encode())
        with self.monkeypatch.context() as patch, os.fdopen(theirs) as terminal:
            patch.setattr(sys, "stdin", terminal)
            ran = self.run(*arguments)
        os.close(ours)
        return ran
