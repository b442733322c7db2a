"""The watchdog ends a worker that is attached but deaf, and no other."""

import pytest

from app.monitoring.watchdog import DEAF_FOR, EXIT_CODE, Watchdog
from tests.servers import wait_until

SCALE = 0.001  # of the thread's own waits, and of its limit
MINUTE, MORE = DEAF_FOR * SCALE, (DEAF_FOR + 1) * SCALE


@pytest.fixture
def queue() -> list[str]:
    return []


@pytest.fixture
def ended() -> list[str]:
    return []


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def watchdog(queue: list[str], ended: list[str], clock: Clock, *, free: bool = True) -> Watchdog:
    return Watchdog(
        waiting=lambda: len(queue),
        free=lambda: free,
        stop=lambda code: ended.append(f"asked {code}"),
        scale=SCALE,
        end=lambda code: ended.append(f"ended {code}"),
        clock=clock,
    )


def test_a_worker_whose_queue_fills_while_it_hears_nothing_is_ended(
    clock: Clock, queue: list[str], ended: list[str]
) -> None:
    queue.append("message")
    watchdog(queue, ended, clock).start()
    clock.now += MORE
    wait_until(lambda: len(ended) == 2, "the end")
    assert ended == [f"asked {EXIT_CODE}", f"ended {EXIT_CODE}"]


def test_it_is_deaf_after_a_minute(clock: Clock, queue: list[str], ended: list[str]) -> None:
    queue.append("message")
    one = watchdog(queue, ended, clock)
    clock.now = MINUTE
    assert not one.deaf()
    clock.now = MORE
    assert one.deaf()


def test_an_empty_queue_ends_nobody(clock: Clock, queue: list[str], ended: list[str]) -> None:
    one = watchdog(queue, ended, clock)
    clock.now += MORE
    assert not one.deaf()


def test_a_worker_with_its_hands_full_is_left_alone(
    clock: Clock, queue: list[str], ended: list[str]
) -> None:
    queue.append("message")
    one = watchdog(queue, ended, clock, free=False)
    clock.now += MORE
    assert not one.deaf()


def test_a_worker_that_hears_is_left_alone(
    clock: Clock, queue: list[str], ended: list[str]
) -> None:
    queue.append("message")
    one = watchdog(queue, ended, clock)
    for _ in range(4):
        clock.now += MORE
        one.heard()
        assert not one.deaf()


def test_a_redis_that_is_away_ends_nobody(clock: Clock, ended: list[str]) -> None:
    def away() -> int:
        raise ConnectionError

    one = Watchdog(away, lambda: True, lambda _: None, SCALE, clock=clock)
    clock.now += MORE
    assert not one.deaf()
