"""The watchdog ends a worker that is attached but deaf, and no other."""

import time

import pytest

from app.monitoring.watchdog import EXIT_CODE, Watchdog
from tests.servers import wait_until

SCALE = 0.001  # deaf after 60 ms


@pytest.fixture
def queue() -> list[str]:
    return []


@pytest.fixture
def ended() -> list[str]:
    return []


def watchdog(queue: list[str], ended: list[str], *, free: bool = True) -> Watchdog:
    return Watchdog(
        waiting=lambda: len(queue),
        free=lambda: free,
        stop=lambda code: ended.append(f"asked {code}"),
        scale=SCALE,
        end=lambda code: ended.append(f"ended {code}"),
    )


def test_a_worker_whose_queue_fills_while_it_hears_nothing_is_ended(
    queue: list[str], ended: list[str]
) -> None:
    queue.append("message")
    watchdog(queue, ended).start()
    wait_until(lambda: len(ended) == 2, "the end")
    assert ended == [f"asked {EXIT_CODE}", f"ended {EXIT_CODE}"]


def test_an_empty_queue_ends_nobody(queue: list[str], ended: list[str]) -> None:
    one = watchdog(queue, ended)
    time.sleep(0.1)
    assert not one.deaf()


def test_a_worker_with_its_hands_full_is_left_alone(queue: list[str], ended: list[str]) -> None:
    queue.append("message")
    one = watchdog(queue, ended, free=False)
    time.sleep(0.1)
    assert not one.deaf()


def test_a_worker_that_hears_is_left_alone(queue: list[str], ended: list[str]) -> None:
    queue.append("message")
    one = watchdog(queue, ended)
    for _ in range(4):
        time.sleep(0.03)
        one.heard()
        assert not one.deaf()


def test_a_redis_that_is_away_ends_nobody(ended: list[str]) -> None:
    def away() -> int:
        raise ConnectionError

    one = Watchdog(away, lambda: True, lambda _: None, SCALE, lambda _: None)
    time.sleep(0.1)
    assert not one.deaf()
