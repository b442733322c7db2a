"""Celery's entry: `celery -A app.celery_app.celery beat | worker -Q mail | worker -Q ai`."""

import os
import sys

from app.config import load_or_exit
from app.queue.application import make_celery
from app.systemd.programs import is_service, knows_jobs, wrong_node_name
from app.tasks import celery_log, worker  # noqa: F401 - signals
from app.util import log_stream
from app.util.private import UMASK

os.umask(UMASK)  # of Celery's own files: --logfile, --pidfile
log_stream.install()  # before Celery says its first word
if wrong := wrong_node_name(sys.argv):
    print(*wrong, sep="\n", file=sys.stderr)
    raise SystemExit(2)
if knows_jobs(sys.argv):
    from app.tasks import ai, notifications  # noqa: F401 - registers them
config = load_or_exit(service=is_service(sys.argv))
celery = make_celery(config)
celery_log.connect(celery, config.log_format)
