"""Task Progress: mails each person the tasks they have not reported on, every morning."""

from typing import TYPE_CHECKING

# Every command and worker imports this package first, and few of them need the pages: what the
# pages need is imported when they are made.
if TYPE_CHECKING:
    from flask import Flask

    from app.config import Config
    from app.services import Services


def create_app(config: "Config | None" = None, services: "Services | None" = None) -> "Flask":
    """The pages. Wiring only: opens no connection."""
    from flask import Flask  # noqa: PLC0415 - see above

    from app import clock, web  # noqa: PLC0415 - see above
    from app.config import load_or_exit  # noqa: PLC0415 - see above
    from app.services import make  # noqa: PLC0415 - see above

    config = config or load_or_exit()
    clock.shift(config.test_clock_offset)
    app = Flask(__name__)
    app.secret_key = config.secret_key.get_secret_value()
    app.extensions["task_progress"] = services = services or make(config)
    web.register(app, services)
    return app
