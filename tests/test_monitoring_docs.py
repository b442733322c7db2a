"""docs/metrics.md and docs/monitoring*.md: what they list is what there is."""

import re

import pytest
import yaml

from app.alerts import Alarm
from app.models import TICK, TIMER
from app.monitoring import checks, metrics_page, status
from app.monitoring.metrics_queries import facts
from app.services import Services
from tests.conftest import NOW
from tests.databases import on_sqlite
from tests.stack import PROJECT

pytestmark = pytest.mark.pages

BOTH = pytest.mark.parametrize("name", ["monitoring.md", "monitoring.ja.md"])
LISTS = "metrics.md"


def table(name: str, cell: str) -> dict[str, list[str]]:
    """The rows of a page whose first cell is one word in code, by that word."""
    said = (PROJECT / "docs" / name).read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in said.splitlines() if line.startswith("| `")]
    found = {row[0].strip("`"): row[1:] for row in rows}
    return {word: row for word, row in found.items() if re.fullmatch(cell, word)}


@on_sqlite
def test_every_figure_is_listed_with_its_labels_and_no_other(services: Services) -> None:
    for part in (TICK, TIMER):
        status.note_heartbeat(services, part, NOW)
    collected = facts(services, NOW)
    exposed = {
        family.name: sorted({label for one in family.samples for label in one.labels} - {"le"})
        for family in collected
    }
    listed = {
        word: sorted(re.findall(r"`(\w+)`", row[0]))
        for word, row in table(LISTS, f"{metrics_page.PREFIX}\\w+").items()
    }
    assert listed == exposed


def test_the_page_itself_says_of_each_figure_what_it_is(services: Services) -> None:
    said = metrics_page.text(facts(services, NOW)).decode()
    for word in table(LISTS, f"{metrics_page.PREFIX}\\w+"):
        assert f"# HELP {word}" in said, word


def test_every_rule_is_listed_and_no_other() -> None:
    rules = yaml.safe_load((PROJECT / "deploy/prometheus-rules.yml").read_text(encoding="utf-8"))
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    assert list(table(LISTS, r"TaskProgress\w+")) == alerts


@BOTH
def test_every_reason_of_healthz_is_listed(name: str) -> None:
    said = (PROJECT / "docs" / name).read_text(encoding="utf-8")
    reasons = [f"{Alarm.SILENT}:beat", *(set(checks._UNWELL) - {Alarm.SILENT})]
    assert [reason for reason in ("database", *reasons) if f"`{reason}`" not in said] == []
    assert all(f"`:{part}`" in said for part in checks.PARTS[1:])
