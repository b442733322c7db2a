"""Whatever is installed may be used, and docs/dependencies.md says under which licence."""

import subprocess
import sys

import pytest

from tools import licences
from tools.house import PROJECT

PAGE = licences.documented((PROJECT / "docs/dependencies.md").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_everything_installed_may_be_used_and_is_what_the_page_says() -> None:
    ran = subprocess.run(
        [sys.executable, "tools/licences.py"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr.strip()) == (0, "")
    assert "celery " in ran.stdout


@pytest.mark.parametrize(
    "said", ["GPL-3.0-only", "AGPL-3.0-or-later", "LGPL-3.0-only", "MIT AND GPL-2.0-only", ""]
)
def test_a_licence_that_is_not_on_the_list_fails(said: str) -> None:
    assert list(licences.faults({"something": said}, PAGE))


@pytest.mark.parametrize("said", ["MIT", "GPL-2.0-only OR MIT", "MIT AND PSF-2.0", "BSD"])
def test_one_of_which_an_alternative_is_on_the_list_is_taken(said: str) -> None:
    assert list(licences.faults({"something": said}, PAGE)) == []


def test_a_page_that_says_another_licence_than_the_package_fails() -> None:
    assert "docs/dependencies.md says MIT" in "".join(licences.faults({"redis": "ISC"}, PAGE))


def test_every_package_of_the_page_has_a_licence() -> None:
    assert {name for name, said in PAGE.items() if not said.strip()} == set()
    assert PAGE["psycopg"] == "LGPL-3.0-only"
