"""Read by gunicorn by itself when it starts in this folder."""

logger_class = "app.web.access_log.MaskingLogger"  # no token of a mail link in any log
