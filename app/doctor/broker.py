"""Checks of Redis: it answers, takes what is queued, forgets nothing that waits, and is not open to others."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import redis

from app.db import DatabaseDown
from app.doctor.finding import (
    ANSWER_WITHIN,
    CheckContext,
    Finding,
    compare_clocks,
    green,
    red,
    yellow,
)
from app.identity import sentences
from app.locale import Both
from app.queue import redis_cluster
from app.services import guard_url
from app.util import shared_redis, urls
from app.util.urls import mask_url

QUEUES = ("mail", "ai")
QUEUE_YELLOW, QUEUE_RED = 100, 10_000  # messages; one of `mail` holds up to 50 mails


def broker(case: CheckContext) -> list[Finding]:
    """All about Redis, as far as it answers."""
    url = guard_url(case.config)
    if url is None:
        return green("redis", "Redis: 使っていません。", "Redis: not in use.")
    found = _encrypted(url)
    with shared_redis.connect(url, ANSWER_WITHIN) as server:
        try:
            server.ping()
        except redis.RedisError as error:
            if redis_cluster.is_cluster_refusal(error):
                return _cluster(case, server)
            return _unreachable(url, error)
        here = mask_url(url)
        found += green("redis", f"Redis: {here} が応答しました。", f"Redis: {here} answered.")
        for check in (_cluster, _shared, _persistence, _eviction, _exposed, _clock, _queues):
            found += _allowed(check, case, server)
    return found + _results(case, url)


_Check = Callable[[CheckContext, "redis.Redis"], list[Finding]]


def _allowed(check: _Check, case: CheckContext, server: "redis.Redis") -> list[Finding]:
    """What `check` finds; a line of its own where Redis does not let us look or stops answering."""
    name = f"redis-{check.__name__.strip('_')}"
    try:
        return check(case, server)
    except redis.RedisError as error:
        # `rename-command CONFIG ""` in redis.conf, and many a hosted Redis.
        unknown = "unknown command" in str(error).lower()
        if unknown or isinstance(error, redis.exceptions.NoPermissionError):
            return _hidden(name, error)
        return _unreachable(guard_url(case.config) or "", error)


def _hidden(name: str, error: redis.RedisError) -> list[Finding]:
    said = str(error).partition(", with args")[0]
    return yellow(
        name,
        f"Redis: 調べる権限がありません({said})。",
        f"Redis: not allowed to look ({said}).",
        "管理者の接続で: redis-cli INFO; redis-cli CONFIG GET '*'",
        "As Redis's administrator: redis-cli INFO; redis-cli CONFIG GET '*'",
    )


def _results(case: CheckContext, broker_url: str) -> list[Finding]:
    """Whether results can be kept; no mail needs them, but `celery call` and `inspect` say more."""
    url = case.config.celery_result_backend
    if not url or url == broker_url or not url.startswith(("redis://", "rediss://", "unix://")):
        return []
    here = mask_url(url)
    try:
        with shared_redis.connect(url, ANSWER_WITHIN) as server:
            server.get("celery-task-meta-doctor")
    except redis.RedisError as error:
        return yellow(
            "redis-results",
            f"CELERY_RESULT_BACKEND: {here} を使えません({type(error).__name__})。メールには影響しません。",
            f"CELERY_RESULT_BACKEND: {here} cannot be used ({type(error).__name__}). "
            "No mail depends on it.",
            f"CELERY_RESULT_BACKEND={mask_url(broker_url)}",
        )
    return green(
        "redis-results", f"結果の置き場: {here} を使えます。", f"Results: {here} is usable."
    )


def _cluster(case: CheckContext, server: "redis.Redis") -> list[Finding]:
    """Workers and beat do not start with one."""
    if not redis_cluster.is_cluster(server):
        return []
    what, fix = redis_cluster.words(case.config)
    return red("redis-cluster", what.ja, what.en, fix)


def _shared(case: CheckContext, server: "redis.Redis") -> list[Finding]:
    """Whether another installation was seen on this Redis in the last minutes."""
    if not case.has_database:
        return []
    try:
        ours = case.services.installation.known()
    except DatabaseDown:
        return []  # that check says so
    try:
        others = shared_redis.others(server, ours or "")
        server.exists(f"{shared_redis.TICKS}doctor")
    except redis.exceptions.NoPermissionError:
        what, fix = sentences.old_rights()
        return yellow("redis-shared", what.ja, what.en, fix)
    if ours is None or not others:
        return green(
            "redis-shared",
            "Redis: この Task Progress だけが使っています。",
            "Redis: no other Task Progress uses it.",
        )
    what, fix = sentences.shared_redis(others, Both("", ""))
    return red("redis-shared", what.ja, what.en, fix)


def _unreachable(url: str, error: redis.RedisError) -> list[Finding]:
    """Why it does not answer, without the password that some of its errors would show."""
    said = str(error)
    place = mask_url(url)
    if isinstance(error, redis.AuthenticationError) or "WRONGPASS" in said or "NOAUTH" in said:
        return red(
            "redis",
            f"Redis: {place} がパスワードを断りました。",
            f"Redis: {place} refused the password.",
            "CELERY_BROKER_URL=redis://:PASSWORD@HOST:6379/0",
        )
    # A Redis without TLS waits for the rest of what it takes for a command.
    silent = url.startswith("rediss://") and isinstance(error, redis.TimeoutError)
    tls = silent or "SSL" in said or "certificate" in said or "Connection closed by server" in said
    if tls:
        other = "redis://" if url.startswith("rediss://") else "rediss://"
        return red(
            "redis",
            f"Redis: {place} と暗号化(TLS)の設定が合いません。",
            f"Redis: {place} does not agree on TLS.",
            f"CELERY_BROKER_URL を {other} で始めるか、証明書(SSL_CERT_FILE)を確かめてください。",
            f"Begin CELERY_BROKER_URL with {other}, or check the certificate (SSL_CERT_FILE).",
        )
    return red(
        "redis",
        f"Redis: {place} が応答しません({type(error).__name__})。メールは5分ごとの安全タイマーだけで"
        "送られます。",
        f"Redis: {place} does not answer ({type(error).__name__}). Mails only leave by the 5-minute "
        "safety timer.",
        "sudo systemctl enable --now redis-server && redis-cli ping",
    )


def _encrypted(url: str) -> list[Finding]:
    if url.startswith("rediss://"):
        return green("redis-tls", "Redis: 通信は TLS です。", "Redis: spoken to over TLS.")
    if url.startswith("unix://") or urls.is_loopback(urlsplit(url).hostname):
        return green("redis-tls", "Redis: このマシンの中です。", "Redis: on this machine.")
    return yellow(
        "redis-tls",
        "Redis: 別のマシンと、暗号化なしで通信しています。",
        "Redis: spoken to over the network without TLS.",
        "CELERY_BROKER_URL=rediss://:PASSWORD@HOST:6379/0",
    )


def _persistence(_case: CheckContext, server: "redis.Redis") -> list[Finding]:
    """Whether it refuses to write because it could not save (MISCONF).

    It need not keep anything: the truth is in the database, and the next tick queues anew.
    """
    facts: dict[str, Any] = server.info("persistence")
    failed = facts.get("rdb_last_bgsave_status") == "err"
    failed = failed or facts.get("aof_last_write_status", "ok") != "ok"
    if failed:
        return red(
            "redis-persistence",
            "Redis: ディスクに保存できず、書き込みを断っています(MISCONF)。",
            "Redis: it cannot save to disk and refuses to write (MISCONF).",
            "redis-cli CONFIG GET dir  # df -h; ls -ld; then: redis-cli BGSAVE",
        )
    kept = bool(facts.get("aof_enabled"))
    return green(
        "redis-persistence",
        "Redis: 書き込めます。" + ("待っているジョブは再起動のあとも残ります。" if kept else ""),
        "Redis: it takes what is written." + (" What waits survives a restart." if kept else ""),
    )


def _eviction(_case: CheckContext, server: "redis.Redis") -> list[Finding]:
    """Any other policy than noeviction throws queued jobs away when memory is short."""
    facts: dict[str, Any] = server.info("memory")
    policy, most = facts.get("maxmemory_policy"), facts.get("maxmemory") or 0
    if policy != "noeviction":
        return red(
            "redis-eviction",
            f"Redis: maxmemory-policy が {policy} です。メモリーが足りないと、待っているジョブを"
            "消します。",
            f"Redis: maxmemory-policy is {policy}: short of memory it throws queued jobs away.",
            "redis-cli CONFIG SET maxmemory-policy noeviction && redis-cli CONFIG REWRITE",
        )
    if most and int(facts.get("used_memory") or 0) > 0.9 * most:
        return red(
            "redis-eviction",
            "Redis: メモリーの上限(maxmemory)に達しています。新しいジョブを受け付けません。",
            "Redis: its memory (maxmemory) is used up; it takes no new jobs.",
            "redis-cli CONFIG SET maxmemory 512mb && redis-cli CONFIG REWRITE",
        )
    return green(
        "redis-eviction",
        "Redis: 待っているジョブは消えません(noeviction)。",
        "Redis: nothing that waits is thrown away (noeviction).",
    )


def _exposed(case: CheckContext, server: "redis.Redis") -> list[Finding]:
    """Whether any machine on the network can use it without a password."""
    url = urlsplit(guard_url(case.config) or "")
    if url.password:
        return green("redis-exposed", "Redis: パスワードがあります。", "Redis: has a password.")
    config = server.config_get("bind", "protected-mode", "port", "tls-port")
    bound = str(config.get("bind", "")).split()
    at_home = [urls.is_loopback(one.removeprefix("-")) for one in bound or ["*"]]
    open_to_all = config.get("protected-mode") == "no" and not all(at_home)
    listens = config.get("port", "0") != "0" or config.get("tls-port", "0") != "0"
    if listens and open_to_all:
        return red(
            "redis-exposed",
            f"Redis: パスワードなしでネットワークに開いています(bind {' '.join(bound) or '*'})。",
            f"Redis: open to the network without a password (bind {' '.join(bound) or '*'}).",
            "redis-cli CONFIG SET bind '127.0.0.1 -::1' && redis-cli CONFIG SET protected-mode "
            "yes && redis-cli CONFIG REWRITE",
        )
    return green(
        "redis-exposed",
        "Redis: このマシンの外からは使えません。",
        "Redis: not to be used from outside this machine.",
    )


def _clock(case: CheckContext, server: "redis.Redis") -> list[Finding]:
    def ask() -> datetime:
        seconds, micro = server.time()
        return datetime.fromtimestamp(seconds + micro / 1e6, tz=UTC)

    return compare_clocks("clock-redis", Both("Redis ", "Redis"), case.clock, ask)


def _queues(_case: CheckContext, server: "redis.Redis") -> list[Finding]:
    """How much waits for the workers."""
    lengths = {queue: int(server.llen(queue)) for queue in QUEUES}
    told = Both(
        "、".join(f"{queue} {number}件" for queue, number in lengths.items()),
        ", ".join(f"{queue} {number}" for queue, number in lengths.items()),
    )
    longest = max(lengths.values())
    ja, en = f"キュー: {told.ja}が待っています。", f"Queues: waiting: {told.en}."
    fix = "systemctl status celery-worker-mail celery-worker-ai; journalctl -u celery-worker-mail"
    if longest > QUEUE_RED:
        return red("queues", ja, en, fix)
    return yellow("queues", ja, en, fix) if longest > QUEUE_YELLOW else green("queues", ja, en)
