"""Redis in cluster mode, which no setting makes usable: refused when a program starts, and by doctor.

A job on a queue and the note that a worker has it are keys of different slots, and so are the
guards of one round of mails. A cluster refuses any command over both.
"""

import redis

from app.config import Config
from app.locale import Both
from app.services import guard_url
from app.util import shared_redis
from app.util.urls import mask_url


def refused(config: Config) -> Both | None:
    """Why the Redis of these settings cannot be used, with the setting's name and what to do.

    None also where it does not answer: that comes right by waiting.
    """
    url = guard_url(config)
    if url is None:
        return None
    try:
        with shared_redis.connect(url) as client:
            if not is_cluster(client):
                return None
    except redis.RedisError:
        return None
    what, fix = words(config)
    return Both(f"{what.ja}{fix.ja}", f"{what.en} {fix.en}")


def is_cluster(client: "redis.Redis") -> bool:
    """Whether it runs in cluster mode. Raises redis.RedisError."""
    try:
        return bool(client.info("cluster").get("cluster_enabled"))
    except redis.ResponseError as error:
        if is_cluster_refusal(error):
            return True
        raise


def is_cluster_refusal(error: redis.RedisError) -> bool:
    """Whether the server refused a database other than 0, because a cluster has no other."""
    return "not allowed in cluster mode" in str(error)


def words(config: Config) -> tuple[Both, Both]:
    """That it is one, and what to set."""
    broker = config.model_copy(update={"celery_result_backend": ""})
    name = "CELERY_BROKER_URL" if guard_url(broker) else "CELERY_RESULT_BACKEND"
    place = mask_url(guard_url(config) or "")
    return (
        Both(
            f"{name}: {place} は Redis Cluster で、使えません(キューと重複送信ガードが、複数のキーを"
            "同時に扱うため)。",
            f"{name}: {place} is a Redis Cluster and cannot be used: queues and the guard against "
            "doubles work on several keys at once.",
        ),
        Both(
            f"クラスターモードでない Redis を {name} に指定してください(冗長化はレプリカで)。",
            f"Name a Redis without cluster mode in {name}; a replica can stand in for it.",
        ),
    )
