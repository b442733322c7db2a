"""Checks of the programs: the ticks of beat and timer, the workers of both queues."""

from datetime import timedelta

import redis
from celery import Celery
from sqlalchemy import select

from app.alerts.sentence import span
from app.doctor.broker import QUEUES
from app.doctor.finding import ANSWER_WITHIN, CheckContext, Finding, green, red, yellow
from app.locale import Both
from app.models import TICK, TIMER, Service
from app.monitoring.checks import heartbeats
from app.monitoring.status import STALE
from app.queue.application import make_celery
from app.services import guard_url
from app.util import shared_redis

PING_SECONDS = 3.0


def ticks(case: CheckContext) -> list[Finding]:
    """When a tick last decided and sent; beat does each minute, the timer every five."""
    noted = case.stored(
        lambda session: session.scalars(select(Service.at).where(Service.name == TICK)).all()
    )
    if noted is None:
        return _unknown(
            "ticks",
            "定期処理: データベースを使えないため、調べられません。",
            "Ticks: not known, as the database cannot be used.",
        )
    fix = (
        "systemctl status celery-beat celery-worker-mail task-progress-tick.timer; "
        "journalctl -u celery-beat -u task-progress-tick -n 50"
    )
    if not noted:
        return red("ticks", "定期処理は一度も動いていません。", "There has never been a tick.", fix)
    age = case.clock() - noted[0]
    if age < -STALE:
        far = span(-age.total_seconds())
        return red(
            "ticks",
            f"定期処理: 最後の記録が約{far.ja}先の時刻です。時計がずれています。",
            f"Ticks: the last one lies {far.en} in the future. A clock is wrong.",
            "timedatectl",
        )
    seconds = max(0, round(age.total_seconds()))
    ago = Both(f"{seconds} 秒", f"{seconds} s")
    if seconds >= 120:
        ago = Both(f"{seconds // 60:,} 分", f"{seconds // 60:,} min")
    ja, en = f"定期処理: 最後は {ago.ja}前です。", f"Ticks: the last one was {ago.en} ago."
    return red("ticks", ja, en, fix) if age > STALE else green("ticks", ja, en)


TIMER_EVERY = timedelta(minutes=15)  # it runs each 5 minutes; three in a row did not come


def timer(case: CheckContext) -> list[Finding]:
    """Whether the safety timer runs, on which everything falls back when Redis is away."""
    ages = case.stored(lambda session: heartbeats(session, case.clock()))
    if ages is None:
        return []
    age = ages.get(TIMER)
    if age is not None and abs(age) <= TIMER_EVERY:
        return green("timer", "安全タイマー: 動いています。", "Safety timer: it runs.")
    ja = "安全タイマー: 15分以上動いていません。Redis やワーカーが止まるとメールも止まります。"
    en = "Safety timer: not for 15 minutes. Without it mail stops with Redis or the workers."
    if age is None:
        ja = "安全タイマー: まだ一度も動いていません(起動から5分以内は正常です)。"
        en = "Safety timer: it has not run yet (normal within 5 minutes of the start)."
    return yellow("timer", ja, en, "sudo systemctl enable --now task-progress-tick.timer")


def workers(case: CheckContext) -> list[Finding]:
    """Whether each queue in use has a worker; asked over the broker, as `celery inspect` does."""
    url = guard_url(case.config)
    if url is not None and url == case.config.celery_broker_url:
        try:
            with shared_redis.connect(url, ANSWER_WITHIN) as server:
                server.ping()
        except redis.RedisError:
            return _unknown(
                "workers",
                "ワーカー: Redis が応答しないため、調べられません。",
                "Workers: not known, as Redis does not answer.",
            )
    # Without an AI to ask, nothing comes to the queue `ai`.
    in_use = [queue for queue in QUEUES if queue != "ai" or case.config.ai_base_url is not None]
    worked_on = _queues_worked_on(make_celery(case.config))
    return [one for queue in in_use for one in _worker(queue, worked_on.get(queue, 0))]


def _queues_worked_on(celery: Celery) -> dict[str, int]:
    """How many workers each queue has."""
    answers = celery.control.inspect(timeout=PING_SECONDS).active_queues() or {}
    names = [str(queue["name"]) for queues in answers.values() for queue in queues]
    return {name: names.count(name) for name in names}


def _worker(queue: str, number: int) -> list[Finding]:
    check = f"worker-{queue}"
    if number:
        return green(
            check,
            f"ワーカー: {queue} キューで {number} 台が動いています。",
            f"Workers: {number} on the queue {queue}.",
        )
    fix = f"sudo systemctl enable --now celery-worker-{queue}; journalctl -u celery-worker-{queue}"
    ja = f"ワーカー: {queue} キューで動いているものがありません。"
    en = f"Workers: none on the queue {queue}."
    if queue != "mail":
        return yellow(check, ja, en, fix)
    return red(check, ja + "メールは安全タイマーだけで送られます。",
               en + " Mails only leave by the safety timer.", fix)  # fmt: skip


def _unknown(check: str, ja: str, en: str) -> list[Finding]:
    """What another check tells the cause of."""
    fix = Both(
        "先にデータベースと Redis の行を直してください。",
        "First mend the lines about the database and Redis.",
    )
    return yellow(check, ja, en, fix)
