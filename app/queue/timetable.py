"""Queues, routes and the timetable, as plain data: jobs by their names."""

from typing import Any

from celery.schedules import crontab

MAIL, AI = "mail", "ai"

ROUTES: dict[str, dict[str, str]] = {
    "app.tasks.notifications.*": {"queue": MAIL},
    "app.tasks.ai.*": {"queue": AI},
}

# Beat keeps no file: the database remembers what was done, and a missed tick is caught up by the
# next one. crontab(), not an interval: a beat that restarts again and again still ticks. No program
# reads a result of what beat sends; to keep one, beat would first wait for the result backend, and no tick
# would go meanwhile.
TIMETABLE: dict[str, dict[str, Any]] = {
    "daily-progress-reminder-09": {
        "task": "app.tasks.notifications.daily_progress_reminder",
        "schedule": crontab(minute=0, hour=9),
        "kwargs": {"only_due": True},
        "options": {"queue": MAIL, "expires": 3600, "ignore_result": True},
    },
    # Shown for readers of the timetable: each minute's tick does the same for every lead's
    # own hour and first workday.
    "weekly-progress-digest-09": {
        "task": "app.tasks.notifications.weekly_progress_digest",
        "schedule": crontab(minute=0, hour=9, day_of_week="mon-fri"),
        "kwargs": {"only_due": True},
        "options": {"queue": MAIL, "expires": 3600, "ignore_result": True},
    },
    "tick": {
        "task": "app.tasks.notifications.tick",
        "schedule": crontab(),
        # Seconds; the next minute brings another.
        "options": {"queue": MAIL, "expires": 50, "ignore_result": True},
    },
    "ai-heartbeat": {
        "task": "app.tasks.ai.heartbeat",
        "schedule": crontab(minute="*/5"),
        "options": {"queue": AI, "expires": 240, "ignore_result": True},
    },
}
