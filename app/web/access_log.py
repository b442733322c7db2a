"""gunicorn's logs in our one format, without the tokens of mail links, which would let a reader of the
log act as the member.

`gunicorn.conf.py` names this class, so it holds however gunicorn is started in the project folder.
"""

import logging

from gunicorn.config import Config
from gunicorn.glogging import Logger

from app.config import load_or_exit
from app.util import logs


class MaskingLogger(Logger):  # type: ignore[misc]  # a class of gunicorn, which has no types
    """gunicorn's own logger; every record is a line of ours, whatever format was configured."""

    def setup(self, cfg: Config) -> None:
        """Called once by gunicorn, when the settings are read, before it forks."""
        super().setup(cfg)
        log_format = load_or_exit(service=True).log_format
        logs.install(log_format, level=logging.WARNING)
        logging.getLogger("app").setLevel(logging.INFO)
        for log in (self.error_log, self.access_log):
            for handler in log.handlers:
                handler.setFormatter(logs.formatter(log_format))
