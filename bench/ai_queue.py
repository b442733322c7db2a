"""What a mail feels of the ai queue: a team's 20 mails with that queue idle, and saturated.

From before the tick is put on the queue until each mail is accepted, in a real mail worker, beside
a real ai worker of four processes that yield as the unit has it: nice 19, scheduled as idle (what
systemd adds, CPUWeight and idle disk, is not in it). Saturated: each of the four computes without a pause, and as many jobs
again wait. Idle and saturated take turns.
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import redis
from celery import Celery

from app import schema
from app.db import Database
from bench import members, morning
from bench.ai_load import BURN
from bench.delivery import machine
from bench.rig import Missing, PostgreSQL, smtp_sink
from tests import servers

RESULTS = Path(__file__).parent / "results"
RUNS, WARM_UPS = 5, 2
PROCESSES = 4
MOST_TIMES, MOST_MORE = 1.2, 0.2  # of the idle time, or seconds more, whichever is larger


class Load:
    """The ai queue, full or empty."""

    def __init__(self, queue: Celery, redis_url: str, folder: Path) -> None:
        self.queue = queue
        self.redis = redis.Redis.from_url(redis_url)
        self.folder = folder

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Every process computes while the block runs, and the queue holds as many jobs again."""
        (self.folder / "go").touch()
        for _ in range(2 * PROCESSES):
            self.queue.send_task(BURN, (str(self.folder),), queue="ai")
        servers.wait_until(lambda: self._burning() == PROCESSES, "the ai worker is not full", 60)
        yield
        (self.folder / "go").unlink()
        servers.wait_until(lambda: not self.redis.llen("ai"), "the ai queue stays full", 60)
        for file in self.folder.glob("burning-*"):
            file.unlink()
        time.sleep(1)  # for the jobs that began last

    def _burning(self) -> int:
        return len(list(self.folder.glob("burning-*")))


def measure(environ: dict[str, str], folder: Path) -> dict[str, list[list[float]]]:
    """Seconds of each mail, for each run, idle and saturated in turn."""
    found: dict[str, list[list[float]]] = {"idle": [], "saturated": []}
    load_folder = folder / "load"
    load_folder.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(contextlib.closing(Database(environ["DATABASE_URL"])))
        stack.enter_context(morning.worker(environ, folder))
        ai = {"app": "bench.ai_load.celery", "queue": "ai"}
        stack.enter_context(morning.worker(environ, folder, processes=PROCESSES, **ai))
        queue = stack.enter_context(contextlib.closing(Celery(broker=environ["CELERY_BROKER_URL"])))
        load = Load(queue, environ["CELERY_BROKER_URL"], load_folder)
        teams = iter(range(WARM_UPS + 2 * RUNS))
        for _ in range(WARM_UPS):
            morning.team(database, queue, next(teams))
        for _ in range(RUNS):
            found["idle"].append(morning.team(database, queue, next(teams)))
            with load.full():
                found["saturated"].append(morning.team(database, queue, next(teams)))
    return found


def summary(found: dict[str, list[list[float]]]) -> dict[str, object]:
    """The middle of the runs' medians and of their 95th percentiles (19th of 20), and a verdict."""
    told: dict[str, object] = {}
    middle: dict[str, float] = {}
    for name, runs in found.items():
        p95 = [sorted(run)[round(0.95 * len(run)) - 1] for run in runs]
        middle[name] = statistics.median(p95)
        told[f"{name}_p95"] = round(middle[name], 4)
        told[f"{name}_median"] = round(statistics.median(map(statistics.median, runs)), 4)
        told[f"{name}_p95_runs"] = [round(one, 4) for one in p95]
    allowed = max(MOST_TIMES * middle["idle"], middle["idle"] + MOST_MORE)
    return {**told, "allowed": round(allowed, 4), "held": middle["saturated"] <= allowed}


def _environ(folder: Path, url: str, broker: str, port: int) -> dict[str, str]:
    return {
        "DATABASE_URL": url,
        "DATA_DIR": str(folder),
        "CELERY_BROKER_URL": broker,
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(port),
        "SMTP_SECURITY": "none",
        "MAIL_FROM": "Task Progress <app@example.jp>",
        "APP_BASE_URL": "https://progress.example.jp",
        "SECRET_KEY": "a made-up key for benches only: 0123456789 abcdef",
    }


def main() -> int:
    """The command: 1 where the ai queue delays a mail; 0 also where smtp-sink is missing."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--database", choices=["postgresql", "sqlite"], action="append")
    given = arguments.parse_args()
    results: dict[str, object] = {"date": datetime.now(UTC).date().isoformat()}
    held = True
    try:
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tp-bench-")))
            port = stack.enter_context(smtp_sink(folder))
            broker = servers.RedisServer(folder / "redis").start()
            stack.callback(broker.kill)
            postgresql = stack.enter_context(PostgreSQL(folder / "pg").running())
            results["machine"] = {**machine(postgresql), "load": round(os.getloadavg()[0], 1)}
            for kind in given.database or ["postgresql", "sqlite"]:
                url = f"sqlite:///{folder}/measured.sqlite3"
                if kind == "postgresql":
                    url = postgresql.copy("template1", "measured")
                with contextlib.closing(Database(url)) as database:
                    schema.upgrade(database)
                    members.fill(database, morning.TEAM * (WARM_UPS + 2 * RUNS))
                found = summary(measure(_environ(folder, url, broker.url, port), folder))
                results[kind] = found
                held = held and bool(found["held"])
    except Missing as error:
        sys.stderr.write(f"Not measured / 測定しませんでした: {error}\n")
        return 0
    text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
    sys.stdout.write(text)
    if not given.database:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "ai_queue.json").write_text(text, encoding="utf-8")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
