"""Two versions at once: the next one migrates in the middle of a batch, and is taken back.

The old version is this very code, as it will run when the next one comes. The next one is a copy of
it with one migration more, of the kind that docs/architecture.md allows.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import text

from app import schema
from chaos.conftest import Make
from chaos.rig import HANG, Rig
from chaos.test_kills import MANY, start_a_batch, still_to_come
from tests.stack import PROJECT, PYTHON

NEXT = f"{int(schema.HEAD) + 1:04}"
ADDS = """
    op.add_column("outbox", sa.Column("urgency", sa.Integer(), server_default="3", nullable=False))
    op.add_column("users", sa.Column("nickname", sa.String(50), nullable=True))
    op.add_column("decisions", sa.Column("score", sa.Integer(), nullable=True))
    op.create_table("moods", sa.Column("id", sa.Integer(), primary_key=True))
    op.create_index("ix_outbox_urgency", "outbox", ["urgency"])
    op.execute("UPDATE users SET nickname = name")
"""
TAKES_AWAY = """
    op.drop_table("ai_budget")
"""


def next_version(rig: Rig, changes: str, *, since: str) -> Path:
    """The folder of a program with one migration more; programs from version `since` on may go on."""
    folder = rig.folder / "next"
    for part in ("app", "migrations", "chaos", "tests"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / part, folder / part, ignore=ignore)
    code = folder / "app" / "schema.py"
    said = code.read_text()
    for name, old, new in (
        ("HEAD", schema.HEAD, NEXT),
        ("SERVES_SINCE", schema.SERVES_SINCE, since),
    ):
        assert f'\n{name} = "{old}"' in said
        said = said.replace(f'\n{name} = "{old}"', f'\n{name} = "{new}"')
    code.write_text(said)
    (folder / "migrations" / "versions" / f"{NEXT}_next.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n\n"
        f'revision, down_revision = "{NEXT}", "{schema.HEAD}"\nbranch_labels = depends_on = None\n\n\n'
        f"def upgrade() -> None:{changes}"
    )
    return folder


def command(rig: Rig, *words: str, of: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    """`task-progress WORDS` of the version in this folder."""
    path = ("env", f"PYTHONPATH={of}")
    return rig.once(*path, PYTHON, "-m", "app.cli", *words, check=False)


def version(rig: Rig) -> str | None:
    """The schema's, as it is now."""
    with rig.db.read() as session:
        return str(session.scalar(text("SELECT version_num FROM alembic_version")))


@pytest.mark.ci
@pytest.mark.both
@pytest.mark.row("F64", "migration in the middle of a batch, both versions send, then only the old")
def test_a_migration_in_the_middle_of_a_batch(rig_of: Make) -> None:
    rig = rig_of(members=MANY)
    the_next = next_version(rig, ADDS, since=schema.HEAD)
    start_a_batch(rig)
    still_to_come(rig)
    upgraded = command(rig, "db", "upgrade", of=the_next)
    assert upgraded.returncode == 0, upgraded.stderr
    assert version(rig) == NEXT
    new = rig.worker(PYTHONPATH=str(the_next))
    with rig.ticking():
        rig.pause(20)
        old = rig.worker()  # one that is started again on a machine that is still to follow
        assert command(rig, "status").returncode == 0
        rig.pause(20)
        rig.end(new, signal.SIGTERM)  # taken back: the schema stays
        rig.sender()
        rig.drain()
    assert old.poll() is None
    assert version(rig) == NEXT


@pytest.mark.both
@pytest.mark.row("F64", "a migration that the old version may not see: it stops, the new one sends")
def test_an_old_program_on_a_schema_it_may_not_touch(rig_of: Make) -> None:
    rig = rig_of(members=MANY)
    the_next = next_version(rig, TAKES_AWAY, since=NEXT)
    old = start_a_batch(rig)
    still_to_come(rig)
    rig.end(old, signal.SIGTERM)
    before = rig.mail_server.count()
    assert command(rig, "db", "upgrade", of=the_next).returncode == 0
    refused = rig.worker(wait=False)
    assert refused.wait(HANG) == os.EX_TEMPFAIL
    assert "newer" in rig.said(refused)
    tick = command(rig, "tick")
    assert (tick.returncode, "newer" in tick.stderr) == (2, True)
    assert rig.mail_server.count() == before
    assert version(rig) == NEXT
    rig.worker(PYTHONPATH=str(the_next))
    with rig.ticking():
        rig.drain()
