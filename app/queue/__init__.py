"""Celery's application, its timetable, and the way to the queue."""
