"""What docs/api.md tells people to type works as it stands, against gunicorn."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from app.db import Database
from app.models import Report, Task
from tests.conftest import People
from tests.databases import on_sqlite
from tests.test_web_logs import gunicorn

pytestmark = [pytest.mark.slow, on_sqlite]

PROJECT = Path(__file__).resolve().parent.parent
SHEET = "ref,title,assignee_email,due_on\nS-1,見積書,suzuki.ichiro@example.jp,2027-03-31\nS-2,請求書,suzuki.ichiro@example.jp,\n"


def recipes() -> list[str]:
    """The blocks of shell, in order."""
    text = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8")
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def run(recipe: str, folder: Path, environ: dict[str, str]) -> str:
    """What a recipe prints. It must not fail."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", recipe], cwd=folder, text=True, timeout=120,
        capture_output=True, env={**environ, "PATH": path, "LANG": "C.UTF-8"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_recipe_does_what_it_says(
    environ: dict[str, str], db: Database, team: People, tmp_path: Path
) -> None:
    make, _export, add, report, why, sheet = recipes()
    (tmp_path / "tasks.csv").write_text("\ufeff" + SHEET, encoding="utf-8")
    key = re.findall(r"tpk_[\w-]{43}", run(make, tmp_path, environ))[0]
    with gunicorn(environ, tmp_path / "gunicorn.log") as port:
        there = {**environ, "URL": f"http://127.0.0.1:{port}", "TOKEN": key}
        made = json.loads(run(add, tmp_path, there))
        assert (made["ref"], made["assignee_email"]) == ("CI-17", team.suzuki.email)
        assert json.loads(run(add, tmp_path, there)) == made
        assert json.loads(run(report, tmp_path, there))["percent"] == 60
        days = json.loads(run(why, tmp_path, there))
        assert (days["member"], len(days["items"])) == (team.suzuki.id, 7)
        assert {"verdict", "reason"} <= days["items"][0].keys()
        assert run(sheet, tmp_path, there).splitlines() == ["S-1 201", "S-2 201"]
    with db.read() as session:
        assert set(session.scalars(select(Task.ref))) == {"CI-17", "S-1", "S-2"}
        assert session.scalars(select(Report.via)).all() == ["api"]
