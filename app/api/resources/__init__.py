"""The operations, a module for each kind of thing; importing one declares its operations."""

from app.api.resources import days_off, mails, people, reports, sending, tasks, teams

__all__ = ["days_off", "mails", "people", "reports", "sending", "tasks", "teams"]
