"""The banners: on every page while all sending is paused, on an operator's for every trouble."""

import logging

from flask import Flask

from app import clock
from app.locale import Both
from app.monitoring import status
from app.monitoring.status_lines import StatusLine
from app.services import Services

log = logging.getLogger(__name__)


def register(app: Flask, services: Services) -> None:
    """Give templates `paused()` and `troubles()`, asked only by a page that is really shown."""
    app.context_processor(
        lambda: {
            "paused": lambda: _is_paused(services),
            "troubles": lambda: _troubles(services),
        }
    )


def _is_paused(services: Services) -> bool:
    try:
        return status.paused(services)
    except Exception:  # noqa: BLE001 - whatever fails here, the page itself may still work
        return False


def _troubles(services: Services) -> list[StatusLine]:
    try:
        return status.troubles(services, clock.now())
    except Exception:
        log.exception("banner: the state of sending is not known")
        return [StatusLine("bad", _UNKNOWN)]


_UNKNOWN = Both(
    "送信の状態を調べられません。`task-progress status` で確かめてください。",
    "The state of sending is not known. Look at it with `task-progress status`.",
)
