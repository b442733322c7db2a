"""PURE. The page for Prometheus: the name of each figure, its meaning, and the text format."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.core import GaugeHistogramMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
PREFIX = "task_progress_"
BUCKETS = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600)  # seconds; the promise's are 600 and 1800

Values = Mapping[tuple[str, ...], float]  # by the values of the labels


@dataclass(slots=True)
class Waits:
    """From due to accepted: the mails in each of BUCKETS, then the longer ones; all seconds."""

    mails: list[int]
    seconds: float

    def add(self, seconds: float, number: int) -> None:
        """So many mails took so long, each of them."""
        self.mails[bisect_left(BUCKETS, seconds)] += number
        self.seconds += seconds * number


@dataclass(frozen=True, slots=True)
class Facts:
    """What the page says. Ages and waits are seconds; no name and no address is in here."""

    version: str
    schema: str
    mails: Values  # kind, state
    waits: Mapping[str, Waits]  # kind
    held: int
    not_attempted: int
    not_ended: int
    oldest_unsent: float
    breaker: str  # closed, open, half_open
    breaker_open: float
    login_refused: bool
    paused: bool
    tick_age: float | None
    heartbeats: Values  # part
    alerts: Values  # alarm
    redis_up: bool | None  # None where the broker is no Redis
    redis_away: float | None
    disks_short: int
    queues: Values  # queue; none while Redis does not answer


def text(facts: Facts) -> bytes:
    """The page, in Prometheus's text format."""
    return generate_latest(Collected(facts))


class Collected:
    """A collector of one scrape: nothing is kept in this process between two of them."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterable[Metric]:
        """All figures, each with its meaning."""
        return [*_mails(self._facts), *_sending(self._facts), *_life(self._facts)]


def _mails(facts: Facts) -> Iterable[Metric]:
    yield _gauge(
        "mails",
        "Mails made in the last 24 hours, and all that have not ended, however old.",
        facts.mails,
        "kind",
        "state",
    )
    yield _waits(facts.waits)
    yield _gauge("mails_held", "Mails that wait for an admin's word.", {(): facts.held})
    yield _gauge(
        "mails_not_attempted",
        "Mails due for 10 minutes that nobody has tried to send.",
        {(): facts.not_attempted},
    )
    yield _gauge(
        "mails_not_ended",
        "Mails due 30 minutes ago that have not ended.",
        {(): facts.not_ended},
    )
    yield _gauge(
        "oldest_unsent_mail_age_seconds",
        "Since when the longest-waiting mail has been due; 0 where none is.",
        {(): facts.oldest_unsent},
    )


def _waits(by_kind: Mapping[str, Waits]) -> Metric:
    made = GaugeHistogramMetricFamily(
        f"{PREFIX}mail_wait_seconds",
        "From due to accepted, of the mails made in the last 24 hours.",
        labels=["kind"],
    )
    for kind, waits in by_kind.items():
        so_far = [sum(waits.mails[: n + 1]) for n in range(len(waits.mails))]
        bounds = [*(f"{bound:.1f}" for bound in BUCKETS), "+Inf"]
        made.add_metric([kind], list(zip(bounds, so_far, strict=True)), waits.seconds)
    return made


def _sending(facts: Facts) -> Iterable[Metric]:
    states = ("closed", "open", "half_open")
    yield _gauge(
        "breaker",
        "1 for the state the breaker is in: open, nobody tries the mail server; half_open, one "
        "mail probes it.",
        {(state,): state == facts.breaker for state in states},
        "state",
    )
    yield _gauge(
        "breaker_open_seconds",
        "Since when the mail server has not been usable; 0 while it is.",
        {(): facts.breaker_open},
    )
    yield _gauge(
        "login_refused",
        "1 while the mail server refuses the login.",
        {(): facts.login_refused},
    )
    yield _gauge("paused", "1 while all sending is paused.", {(): facts.paused})


def _life(facts: Facts) -> Iterable[Metric]:
    yield _gauge(
        "last_tick_age_seconds",
        "Since the last tick, whoever made it; before the first one, since somebody looked for it.",
        {} if facts.tick_age is None else {(): facts.tick_age},
    )
    yield _gauge(
        "heartbeat_age_seconds",
        "Since a part was last alive; of several workers of a queue, the latest.",
        facts.heartbeats,
        "part",
    )
    yield _gauge("alerts_open", "Open alerts.", facts.alerts, "alarm")
    if facts.redis_up is not None:
        yield _gauge(
            "redis_up",
            "1 while the broker's Redis answers within half a second.",
            {(): facts.redis_up},
        )
        yield _gauge(
            "redis_away_seconds",
            "Since when a machine has had no answer from Redis; 0 while all have.",
            {(): facts.redis_away or 0.0},
        )
        yield _gauge(
            "queue_length",
            "Messages that wait on a queue; absent while Redis does not answer.",
            facts.queues,
            "queue",
        )
    yield _gauge(
        "disks_short", "Machines with too little room on the disk.", {(): facts.disks_short}
    )
    yield _gauge(
        "build_info",
        "Always 1: the program's version, and that of the database's schema.",
        {(facts.version, facts.schema): 1},
        "version",
        "schema",
    )


def _gauge(name: str, meaning: str, values: Values, *labels: str) -> Metric:
    made = GaugeMetricFamily(PREFIX + name, meaning, labels=labels)
    for label_values, value in values.items():
        made.add_metric(label_values, value)
    return made
