"""Celery's entry: `celery -A app.celery_app.celery beat | worker -Q mail | worker -Q ai`."""

from app import celery_lines
from app.celery_wiring import make_celery
from app.config import load_or_exit
from app.util import log_stream

log_stream.install()  # before Celery says its first word
config = load_or_exit()
celery = make_celery(config)
celery_lines.connect(celery, config.log_format)
