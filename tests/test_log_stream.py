"""A log that cannot be written stops no program, and the program knows."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TALKS = """
import sys
from pathlib import Path
from app.util import log_stream
log_stream.install()
print("a banner", flush=True)
print("an error", file=sys.stderr)
Path(sys.argv[1]).write_text(str(log_stream.written()))
"""


def talk(says: Path, known: Path) -> str:
    """Runs a program that says something to this file; returns whether it was written."""
    with says.open("ab") as log:
        subprocess.run([sys.executable, "-c", TALKS, known], stdout=log, stderr=log, check=False)
    return known.read_text()


def test_a_full_disk_ends_no_program_and_is_known(tmp_path: Path) -> None:
    assert talk(Path("/dev/full"), tmp_path / "known") == "False"


def test_what_can_be_written_is_written(tmp_path: Path) -> None:
    assert talk(tmp_path / "log", tmp_path / "known") == "True"
    assert sorted((tmp_path / "log").read_text().splitlines()) == ["a banner", "an error"]
