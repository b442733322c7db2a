"""Celery's application, its timetable, and publishing to the queue `mail`."""
