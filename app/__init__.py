"""Task Progress: mails each person the tasks they have not reported on, every morning."""

from typing import TYPE_CHECKING

from app.util import zones

zones.use_newest()  # every program comes by here, and before any zone is read

# Every command and worker imports this package first, and few of them need the pages: what the
# pages need is imported when they are made.
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from flask import Flask

    from app.config import Config
    from app.services import Publish, Services


def create_app(config: "Config | None" = None, services: "Services | None" = None) -> "Flask":
    """The pages. Wiring only: opens no connection."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - see above

    from flask import Flask  # noqa: PLC0415 - see above

    from app import api, clock, web  # noqa: PLC0415 - see above
    from app.config import load_or_exit  # noqa: PLC0415 - see above
    from app.db import PAGES  # noqa: PLC0415 - see above
    from app.services import make  # noqa: PLC0415 - see above

    config = config or load_or_exit(service=True)
    clock.shift(config.test_clock_offset)
    app = Flask(__name__)
    app.secret_key = config.secret_key.get_secret_value()
    # What no answer may wait for is done beside it.
    app.extensions["beside"] = beside = ThreadPoolExecutor(2, thread_name_prefix="beside")
    publish = _queue(config, beside, lambda: made)
    made = services or make(config, publish, PAGES)
    app.extensions["task_progress"] = made
    web.register(app, made)
    doors = api.beside(app.wsgi_app, made)
    app.wsgi_app = web.limits.whole(doors)  # type: ignore[method-assign]  # as Flask says
    return app


def _queue(config: "Config", beside: "Executor", whose: "Callable[[], Services]") -> "Publish":
    """The way to the mail queue: no page waits for a Redis that hangs, nor for Celery, which
    takes a second to import.
    """
    from threading import Lock  # noqa: PLC0415 - see above

    lock = Lock()
    made: list[Publish] = []

    def publish(ids: "Sequence[int]") -> None:
        with lock:  # two threads of `beside` may be the first
            if not made:
                from app.queue.application import make_celery  # noqa: PLC0415 - see above
                from app.queue.publishing import publisher  # noqa: PLC0415 - see above

                made.append(publisher(make_celery(config), config.test_time_scale, whose))
        made[0](ids)

    def later(ids: "Sequence[int]") -> None:
        if ids:
            beside.submit(publish, ids)

    return later
