"""What is loaded before a fork is shared by the children: no collection writes into it."""

import gc
import runpy
from collections.abc import Iterator

import pytest
from celery import signals

from app.tasks import worker
from tests.stack import PROJECT


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_a_worker_leaves_what_it_loaded_out_of_collections_before_it_forks() -> None:
    assert worker.services is not None, "it connects its signals"
    signals.worker_before_create_process.send(sender=None)
    assert gc.get_freeze_count() > 10_000


def test_so_do_the_pages() -> None:
    runpy.run_path(str(PROJECT / "gunicorn.conf.py"))["pre_fork"](None, None)
    assert gc.get_freeze_count() > 10_000
