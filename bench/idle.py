"""What the units cost in memory while nothing happens, beside bare Celery and gunicorn.

PSS (Linux, /proc/PID/smaps_rollup) of beat, the mail worker and the pages with all their processes, in the
units' own commands, a minute after their start; then of the same Celery (beat, a worker of as many
processes) and gunicorn (as many threads) with an empty application each; and of these with an
application that only loads the libraries without which none of ours can do its work. Each on a Redis of
its own, one after the other, ours on SQLite.

In an environment of requirements/run.txt alone, made here: what the developers' tools bring along, Celery
and redis-py load where they find it. docs/decisions/0030 has the limit.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from app import schema
from app.config.sources import HOME
from app.db import Database
from app.systemd import programs
from tests import servers

MOST_TIMES = 2.4  # docs/decisions/0030
SETTLED = 60.0  # seconds after the start
PROJECT = Path(__file__).resolve().parent.parent
BARE = """\
import os
from celery import Celery
celery = Celery(broker=os.environ["CELERY_BROKER_URL"])

def pages(environ, start_response):
    start_response("200 OK", [])
    return [b""]
"""
# What every program of ours needs: tables, settings; a fork that shares what was loaded; and the
# pages Flask and Redis.
LIBRARIES = """\
import gc
import sys
import pydantic.fields, pydantic.main
import sqlalchemy.orm
from celery.signals import worker_before_create_process

@worker_before_create_process.connect(weak=False)
def share_memory(**_):
    gc.collect()
    gc.freeze()

if "gunicorn" in sys.argv[0]:
    import flask, redis
"""


def environment(folder: Path) -> Path:
    """The programs of an environment as an installation has it."""
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "pip"), "install", "-q", "--disable-pip-version-check"]
    locked = ["--require-hashes", "-r", str(PROJECT / "requirements" / "run.txt")]
    subprocess.run([*pip, *locked], check=True)
    return folder / "bin"


def processes(parent: int) -> list[int]:
    """The process and all below it."""
    found = [parent]
    for task in Path(f"/proc/{parent}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += processes(int(child))
    return found


def pss(process: int) -> float:
    """MiB of the process, what it shares divided among those that share it."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def measured(
    commands: Mapping[str, Sequence[str]], environ: Mapping[str, str], folder: Path
) -> dict[str, float]:
    """MiB by program, once all have been idle for a while."""
    with ExitStack() as all_of_them:
        started: dict[str, subprocess.Popen[bytes]] = {}
        for name, command in commands.items():
            part = servers.spawn(command, folder / f"{name}.log", cwd=folder, env=environ)
            all_of_them.callback(part.wait, 30)
            all_of_them.callback(part.terminate)
            started[name] = part
        time.sleep(SETTLED)
        for name, part in started.items():
            if part.poll() is not None:
                sys.exit(f"{name} ended: {(folder / f'{name}.log').read_text()[-2000:]}")
        return {
            name: sum(pss(one) for one in processes(part.pid)) for name, part in started.items()
        }


def ours(folder: Path, redis_url: str, programs_in: Path) -> dict[str, float]:
    """The units of an installation without an AI."""
    environ = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), HOME: str(folder),
        "DATA_DIR": str(folder), "DATABASE_URL": f"sqlite:///{folder}/idle.sqlite3",
        "CELERY_BROKER_URL": redis_url, "SMTP_HOST": "127.0.0.1", "SMTP_PORT": "9",
        "MAIL_FROM": "app@example.jp", "SECRET_KEY": "a made-up key for a measurement 0123456789",
    }  # fmt: skip
    database = Database(environ["DATABASE_URL"])
    schema.upgrade(database)
    database.close()
    (folder / "gunicorn.conf.py").symlink_to(PROJECT / "gunicorn.conf.py")
    commands = {
        "beat": programs.beat(programs_in),
        "worker": programs.worker(programs_in, "mail", host="%h", processes=2),
        "pages": programs.web(programs_in, servers.free_port()),
    }
    return measured(commands, environ, folder)


def bare(folder: Path, redis_url: str, programs_in: Path, libraries: str = "") -> dict[str, float]:
    """The same programs with nothing in them, but these imports."""
    (folder / "bare.py").write_text(libraries + BARE)
    environ = {
        "PATH": os.environ["PATH"],
        "CELERY_BROKER_URL": redis_url,
        "PYTHONPATH": str(folder),
    }
    commands = {
        name: [word.replace(programs.CELERY_APP, "bare.celery") for word in command]
        for name, command in (
            ("beat", programs.beat(programs_in)),
            ("worker", programs.worker(programs_in, "mail", host="%h", processes=2)),
        )
    }
    pages = programs.web(programs_in, servers.free_port())
    commands["pages"] = [*pages[:-1], "bare:pages"]
    return measured(commands, environ, folder)


def main() -> None:
    """Prints a table; 1 where the units cost more than MOST_TIMES the bare programs."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="tp-idle-") as temp:
        folder = Path(temp)
        programs_in = environment(folder / "venv")
        found = []
        for name, measure in (
            ("ours", ours),
            ("bare", bare),
            ("libraries", partial(bare, libraries=LIBRARIES)),
        ):
            server = servers.RedisServer(folder / f"redis-{name}").start()
            (folder / name).mkdir()
            try:
                found.append(measure(folder / name, server.url, programs_in))
            finally:
                server.kill()
    units, empty, loaded = found
    print("| program | MiB | bare, MiB | bare with the libraries, MiB |\n|---|---|---|---|")
    for name in units:
        print("|", name, *(f"| {one[name]:.0f}" for one in found), "|")
    together, least, possible = (sum(one.values()) for one in (units, empty, loaded))
    print(f"| together | {together:.0f} | {least:.0f} | {possible:.0f} |")
    times = together / least
    print(f"\n{times:.2f} times the bare programs, {MOST_TIMES} allowed;", end=" ")
    print(f"with the libraries alone it would be {possible / least:.2f}")
    sys.exit(times > MOST_TIMES)


if __name__ == "__main__":
    main()
