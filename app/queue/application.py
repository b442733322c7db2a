"""Celery's application. Each setting answers a failure that was seen; the comment names it."""

from typing import Any

from celery import Celery

from app import clock
from app.config import Config
from app.queue.timetable import ROUTES, TIMETABLE

JOB_SECONDS = 900  # hard limit of one job; see SEND_WITHIN in app/tasks/notifications.py
# Celery waits so long after INT or QUIT if a job runs, even when that one has ended meanwhile.
SOFT_SHUTDOWN_SECONDS = 120.0
SOCKET_SECONDS = 5.0  # never scaled: a real Redis answers no faster in a test


def make_celery(config: Config) -> Celery:
    """The Celery application; opens no connection."""
    clock.shift(config.test_clock_offset)
    celery = _Celery("app", broker=config.celery_broker_url, backend=config.celery_result_backend)
    celery.conf.update(
        timezone=config.app_timezone,
        enable_utc=True,
        task_routes=ROUTES,
        beat_schedule=TIMETABLE,
        # In memory: no celerybeat-schedule file that can be corrupt or of another version.
        beat_scheduler="app.tasks.scheduler:Scheduler",
        beat_max_loop_interval=5,
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        worker_consumer="app.tasks.messages:HintConsumer",
        task_default_queue="mail",
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        task_time_limit=JOB_SECONDS * config.test_time_scale,
        worker_soft_shutdown_timeout=SOFT_SHUTDOWN_SECONDS * config.test_time_scale,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # for ever
        broker_transport_options=transport_options("mail", config.test_time_scale),
        result_backend_transport_options={"retry_policy": {"timeout": SOCKET_SECONDS}},
        redis_socket_timeout=SOCKET_SECONDS,
        redis_socket_connect_timeout=SOCKET_SECONDS,
        result_expires=3600,
    )
    # The application of every thread: what Celery calls current is that of one thread alone, and
    # in any other a job would be looked for on the broker of an application without configuration.
    celery.set_default()
    return celery


class _Celery(Celery):
    """Celery, whose `call` queues a job also while no result can be kept."""

    def send_task(self, name: str, *args: Any, **options: Any) -> Any:
        """By name Celery does not know that a job has no result, and asks the backend first."""
        job = self.tasks.get(name)
        if job is not None and job.ignore_result:
            options["ignore_result"] = True
        return super().send_task(name, *args, **options)


def transport_options(queue: str, scale: float) -> dict[str, Any]:
    """How kombu speaks to Redis for the worker of this queue. `scale`: TEST_TIME_SCALE."""
    return {
        # Above the hard limit, or a long job would be handed out a second time.
        "visibility_timeout": JOB_SECONDS * 2 * scale,
        # Redis keeps unacknowledged messages in one set for all workers by default:
        # one worker's short time-out would hand out another one's jobs.
        "unacked_key": f"unacked-{queue}",
        "unacked_index_key": f"unacked-index-{queue}",
        "unacked_mutex_key": f"unacked-mutex-{queue}",
        # kombu's default is to wait for ever.
        "socket_timeout": SOCKET_SECONDS,
        "socket_connect_timeout": SOCKET_SECONDS,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "retry_on_timeout": False,
    }
