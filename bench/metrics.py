"""How long `/metrics` takes on the day of 200,000 members, above 1.8 million older mails.

On PostgreSQL, every mail with 1.5 KB of sent bytes in its row: first with all of the day's mails
accepted, then with all of them still to be sent. `python -m bench.metrics`, `--quick` (2,000).
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from app import create_app, schema
from app.config import load
from app.services import Services, make
from bench.rig import PostgreSQL

MEMBERS, OLDER, ASKED = 200_000, 1_800_000, 21

_MAILS = """
    INSERT INTO outbox (dedupe_key, kind, local_date, n, to_addr, message_id, date_header, state,
        clock_shift, not_before, expires_at, claims, retries, doubts, accepted_at, sent_bytes,
        created_at, updated_at)
        SELECT '{name}:' || i, 'reminder', (now() - age)::date, 0, 'm' || i || '@example.jp', 'x',
        now() - age, 'accepted', 0, now() - age, now(), 1, 0, 1,
        now() - age + mod(i, 300) * interval '1 second', decode(repeat('5a', {size}), 'hex'),
        now() - age, now()
        FROM (SELECT i, interval '{oldest}' - i * interval '{spread}' / {mails} AS age
              FROM generate_series(1, {mails}) i) made
"""


def fill(services: Services, members: int, older: int) -> None:
    """Mails in the order in which they come: 89 days, then this day's at one hour."""
    schema.upgrade(services.db)
    with services.db.engine.begin() as connection:
        # Real ones are compressed already; these must not shrink either.
        connection.exec_driver_sql("ALTER TABLE outbox ALTER sent_bytes SET STORAGE EXTERNAL")
        for words in (
            _MAILS.format(name="old", mails=older, oldest="90 days", spread="88 days", size=100),
            _MAILS.format(name="new", mails=members, oldest="1 hour", spread="1 minute", size=1500),
        ):
            connection.exec_driver_sql(words)
    _tidy(services)


def _tidy(services: Services) -> None:
    with services.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as bare:
        bare.exec_driver_sql("VACUUM ANALYZE outbox")


def measure(services: Services) -> str:
    """The middle and the longest of the answers; the first one is not counted."""
    took = []
    for _ in range(ASKED):
        app = create_app(
            services.config, services
        )  # a new one: figures that were read stand a while
        started = time.perf_counter()
        if app.test_client().get("/metrics").status_code != 200:
            sys.exit("/metrics: not 200")
        took.append((time.perf_counter() - started) * 1000)
    return f"median {statistics.median(took[1:]):6.1f} ms   longest {max(took[1:]):6.1f} ms"


def main() -> None:
    """Measures and prints."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="2,000 members, 18,000 older mails")
    part = 100 if options.parse_args().quick else 1
    with (
        tempfile.TemporaryDirectory(prefix="tp-metrics-") as name,
        PostgreSQL(Path(name) / "pg").running() as server,
    ):
        values = {"DATABASE_URL": server.copy("template1", "metrics"), "DATA_DIR": name}
        services = make(load(values, Path(name)))
        fill(services, MEMBERS // part, OLDER // part)
        print("the day's mails accepted:", measure(services))
        with services.db.engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE outbox SET state = 'ready', accepted_at = NULL WHERE dedupe_key LIKE 'new%%'"
            )
        _tidy(services)
        print("all of them to be sent:  ", measure(services))
        services.db.close()


if __name__ == "__main__":
    main()
