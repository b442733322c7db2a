"""The banner on every page while all sending is paused."""

from flask import Flask

from app import status
from app.services import Services


def register(app: Flask, services: Services) -> None:
    """Give templates `paused()`, asked only by a page that is really shown."""
    app.context_processor(lambda: {"paused": lambda: _is_paused(services)})


def _is_paused(services: Services) -> bool:
    try:
        return status.paused(services)
    except Exception:  # noqa: BLE001 - whatever fails here, the page itself may still work
        return False
