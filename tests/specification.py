"""What the specification wrote down word for word, for the tests that hold the program to it."""

ENV = """\
# Redis / Celery
CELERY_BROKER_URL=redis://127.0.0.1:6379/0
CELERY_RESULT_BACKEND=redis://127.0.0.1:6379/1

# SMTP
SMTP_HOST=smtp.example.com
SMTP_PORT=587                  # 465 の場合は SSL
SMTP_USERNAME=app@example.com
SMTP_PASSWORD=********
MAIL_FROM=Task Progress <app@example.com>
MAIL_REPLY_TO=Support <support@example.com>  # 任意
MAIL_RETURN_PATH=bounce@example.com          # 任意
SMTP_TIMEOUT=30
"""

# Everything it tells an operator to type: units, local tests, runbook.
COMMANDS = (
    "sudo systemctl daemon-reload",
    "sudo systemctl enable --now celery-beat.service",
    "sudo systemctl enable --now celery-worker-mail.service",
    "sudo systemctl enable --now celery-worker-ai.service",
    "celery -A app.celery_app.celery beat -l INFO",
    "celery -A app.celery_app.celery worker -Q mail -l INFO",
    "celery -A app.celery_app.celery call app.tasks.notifications.daily_progress_reminder",
    "journalctl -u celery-beat -f",
    "journalctl -u celery-worker-mail -f",
    "redis-cli PING",
    "celery -A app.celery_app.celery inspect active",
    "celery -A app.celery_app.celery inspect registered",
    "celery -A app.celery_app.celery inspect scheduled",
)

# What its runbook, security part and FAQ speak of, as somebody would look for it.
SPOKEN_OF = (
    "celerybeat-schedule",
    "broker_connection_retry_on_startup",
    "MailSendError",
    "autoretry_for",
    "retry_backoff",
    "EnvironmentFile=",
    "load_dotenv()",
    "MAIL_FROM",
    "SPF",
    "DKIM",
    "DMARC",
    "TLS",
    "weekly_progress_digest",
    "ModuleNotFoundError: No module named 'app'",
    "'dict' object has no attribute 'app'",
    "crontab(...)",
    "/0",
    "/1",
)
