"""gunicorn's logs without the tokens of mail links: who reads a log may not act as somebody else.

`gunicorn.conf.py` names this class, so it holds however gunicorn is started in the project folder.
"""

import logging

from gunicorn.config import Config
from gunicorn.glogging import Logger

from app.auth import mask_tokens


class _Mask(logging.Filter):
    """Masks what a record says, and the texts of an error that came with it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = mask_tokens(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = mask_tokens(logging.Formatter().formatException(record.exc_info))
        return True


class MaskingLogger(Logger):  # type: ignore[misc]  # a class of gunicorn, which has no types
    """gunicorn's own logger; every record passes the mask, whatever format was configured."""

    def setup(self, cfg: Config) -> None:
        """Called once by gunicorn, when the settings are read."""
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            if not any(isinstance(one, _Mask) for one in log.filters):
                log.addFilter(_Mask())
