"""gunicorn's logs without the tokens of mail links: who reads a log may not act as somebody else.

`gunicorn.conf.py` names this class, so it holds however gunicorn is started in the project folder.
"""

import logging
import re

from gunicorn.config import Config
from gunicorn.glogging import Logger

# In a path, a request line, a Referer, or quoted in an error; up to what ends a path segment.
_TOKEN = re.compile(r"(/(?:r|u|login)/)[^\s/?#\"'<>]+")


def masked(text: str) -> str:
    """`text` with "…" in the place of each token."""
    return _TOKEN.sub(r"\1…", text)


class _Mask(logging.Filter):
    """Masks what a record says, and the texts of an error that came with it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = masked(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = masked(logging.Formatter().formatException(record.exc_info))
        return True


class MaskingLogger(Logger):  # type: ignore[misc]  # a class of gunicorn, which has no types
    """gunicorn's own logger; every record passes the mask, whatever format was configured."""

    def setup(self, cfg: Config) -> None:
        """Called once by gunicorn, when the settings are read."""
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            if not any(isinstance(one, _Mask) for one in log.filters):
                log.addFilter(_Mask())
