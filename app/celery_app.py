"""Celery's entry: `celery -A app.celery_app.celery beat | worker -Q mail | worker -Q ai`."""

from app.celery_wiring import make_celery
from app.config import load_or_exit

celery = make_celery(load_or_exit())
