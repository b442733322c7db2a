"""`make setup`: which Python the virtual environment is made with."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.house import PROJECT

pytestmark = pytest.mark.slow

# A Python that can say its version and make an environment of itself; the rest it takes as done.
PYTHON = """#!/bin/sh
case "$*" in
  *sys.version\\)*) echo {version} ;;
  "-m venv --clear .venv") rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
esac
"""
Setup = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project that needs no package, and Python 3.11 first on PATH."""
    for name in ("tools", "requirements", "bin"):
        (tmp_path / name).mkdir()
    shutil.copy(PROJECT / "tools/setup.sh", tmp_path / "tools")
    for name in ("pyproject.toml", "requirements/run.txt"):
        (tmp_path / name).touch()
    python(tmp_path, "python3", "3.11")
    program(tmp_path, "uv", "#!/bin/sh\n")
    return tmp_path


@pytest.fixture
def setup(folder: Path) -> Setup:
    def run(**environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "tools/setup.sh", "run"],
            cwd=folder,
            env={"PATH": f"{folder}/bin:/usr/bin:/bin", **environ},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def program(folder: Path, name: str, text: str) -> str:
    file = folder / "bin" / name
    file.write_text(text)
    file.chmod(0o755)
    return str(file)


def python(folder: Path, name: str, version: str) -> str:
    return program(folder, name, PYTHON.format(version=version))


def version(folder: Path) -> str:
    """The version of the environment's Python."""
    command = [str(folder / ".venv/bin/python"), "-c", "print(sys.version)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_environment_is_of_the_python_on_the_path(setup: Setup, folder: Path) -> None:
    assert "Ready." in setup().stderr
    assert version(folder) == "3.11"


def test_python_names_another_one_and_the_environment_is_made_anew(
    setup: Setup, folder: Path
) -> None:
    setup()
    other = python(folder, "python of mine", "3.12")
    assert "Making the environment" in setup(PYTHON=other).stderr
    assert version(folder) == "3.12"


def test_an_environment_of_that_version_stays_and_so_it_does_when_none_is_named(
    setup: Setup, folder: Path
) -> None:
    other = python(folder, "python3.12", "3.12")
    setup(PYTHON=other)
    assert [setup(PYTHON=other).stderr, setup(PYTHON="python3.12").stderr, setup().stderr] == [
        ""
    ] * 3
    assert version(folder) == "3.12"


def test_a_python_that_is_not_there_or_too_old_is_refused_by_name(
    setup: Setup, folder: Path
) -> None:
    setup()
    old = program(folder, "python3.10", "#!/bin/sh\nexit 1\n")
    for name in (old, "/no/python3.12"):
        refused = setup(PYTHON=name)
        assert refused.returncode == 1
        assert f"newer is needed. PYTHON={name} cannot be used." in refused.stderr
    assert version(folder) == "3.11"
