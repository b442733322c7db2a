"""The ports that tests are given: a fault of theirs looks like one of the product's."""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tests.servers import free_port

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def ports(_: int) -> list[int]:
    return [free_port() for _ in range(50)]


@pytest.mark.skipif(not RANGE.exists(), reason="needs Linux")
def test_no_port_is_given_twice_and_none_that_a_connection_may_take() -> None:
    """Found free and told to a program, it was now and then another's before the program bound it."""
    with ProcessPoolExecutor(3) as processes:
        given = [port for some in processes.map(ports, range(6)) for port in some]
    first = int(RANGE.read_text().split()[0])
    assert len(set(given)) == len(given) == 300
    assert max(given) < first
