"""What the fork server (tests/fork_server.py) has imported before it forks a program.

All that programs of the product import and that reads no setting and no language of the shell while
it is imported. `app.cli` and `app.celery_app` do: each program imports them itself.
"""

import gc
from importlib import import_module

for name in (
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "gunicorn.app.wsgiapp",
    "gunicorn.workers.gthread",
    "kombu.transport.redis",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "app.doctor",
    "app.imports",
    "app.local",
    "app.maintenance",
    "app.tasks.ai",
    "app.tasks.celery_log",
    "app.tasks.notifications",
    "app.tasks.worker",
    "app.web",
    "app.why",
):
    import_module(name)

gc.collect()
gc.freeze()  # what no search for garbage touches stays shared with the programs
