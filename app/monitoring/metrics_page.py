"""PURE. The page for Prometheus: how a figure is named and written."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True)
class Collected:
    """A collector of one scrape: nothing is kept in this process between two of them."""

    figures: Sequence[Metric]

    def collect(self) -> Sequence[Metric]:
        """All figures, each with its meaning."""
        return self.figures


def text(figures: Sequence[Metric]) -> bytes:
    """The page, in Prometheus's text format."""
    return generate_latest(Collected(figures))


def gauge(name: str, meaning: str, values: Values | float, *labels: str) -> Metric:
    """A figure: one value, or one for each set of the labels' values."""
    made = GaugeMetricFamily(PREFIX + name, meaning, labels=labels)
    for label_values, value in (values if isinstance(values, Mapping) else {(): values}).items():
        made.add_metric(label_values, value)
    return made


def histogram(name: str, meaning: str, waits: Mapping[str, Waits], label: str) -> Metric:
    """How many waits were at most as long as each of BUCKETS, by the values of the label."""
    made = GaugeHistogramMetricFamily(PREFIX + name, meaning, labels=[label])
    for kind, those in waits.items():
        so_far = [sum(those.mails[: n + 1]) for n in range(len(those.mails))]
        bounds = [*(f"{bound:.1f}" for bound in BUCKETS), "+Inf"]
        made.add_metric([kind], list(zip(bounds, so_far, strict=True)), those.seconds)
    return made
