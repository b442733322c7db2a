"""Task Progress: mails each person the tasks they have not reported on, every morning."""

from flask import Flask

from app import clock
from app.config import Config, load_or_exit
from app.services import Services, make


def create_app(config: Config | None = None, services: Services | None = None) -> Flask:
    """The pages. Wiring only: opens no connection."""
    from app import web  # noqa: PLC0415 - Celery and the command line need no pages

    config = config or load_or_exit()
    clock.shift(config.test_clock_offset)
    app = Flask(__name__)
    app.secret_key = config.secret_key.get_secret_value()
    app.extensions["task_progress"] = services = services or make(config)
    web.register(app, services)
    return app
