"""deploy/prometheus-*.yml: the rules name what `/metrics` has, and speak exactly when they should."""

import operator
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from sqlalchemy import update

from app import reminders
from app.alerts import Alarm, raise_alert
from app.channel import Answer
from app.db import Database, put
from app.locale import Both
from app.models import TICK, OutboxMail, Service
from app.monitoring import metrics_page, status
from app.monitoring.metrics_queries import facts
from app.outbox.breaker import Breaker
from app.services import Services
from app.smtp.errors import MailSendError, Phase
from tests.conftest import NOW, People, task
from tests.stack import PROJECT

pytestmark = pytest.mark.pages

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)

_SELECTOR = re.compile(r"\b(?P<name>(?:task_progress_\w+|up))(?:\{(?P<labels>[^}]*)\})?")
_LABEL = re.compile(r'(\w+)(=~|=)"([^"]*)"')
_RULE = re.compile(_SELECTOR.pattern + r" (?P<op>>=|>|==) (?P<bound>\d+)")
_OPS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "==": operator.eq,
}


def load(name: str) -> Any:
    return yaml.safe_load((PROJECT / "deploy" / name).read_text(encoding="utf-8"))


RULES = [rule for group in load("prometheus-rules.yml")["groups"] for rule in group["rules"]]
# Prometheus makes `up` itself: that rule speaks of a page that does not answer at all.
OURS = [rule for rule in RULES if "up{" not in rule["expr"]]


def exposed(services: Services, now: datetime) -> list[Sample]:
    said = metrics_page.text(facts(services, now)).decode()
    return [s for family in text_string_to_metric_families(said) for s in family.samples]


def wanted(labels: str | None) -> list[tuple[str, str]]:
    """The labels of a selector, each with an expression for its value."""
    found = _LABEL.findall(labels or "")
    return [(name, value if op == "=~" else re.escape(value)) for name, op, value in found]


def matching(samples: list[Sample], name: str, labels: str | None) -> list[Sample]:
    return [
        one
        for one in samples
        if one.name == name
        and all(re.fullmatch(value, one.labels.get(k, "")) for k, value in wanted(labels))
    ]


def firing(services: Services, now: datetime) -> list[str]:
    """The rules that would speak at `now`; "name:part" where a part is named."""
    samples = exposed(services, now)
    found = []
    for rule in OURS:
        parts = _RULE.fullmatch(rule["expr"])
        assert parts is not None, rule["expr"]
        for one in matching(samples, parts["name"], parts["labels"]):
            if _OPS[parts["op"]](one.value, float(parts["bound"])):
                name = rule["alert"].removeprefix("TaskProgress")
                found.append(":".join([name, *one.labels.values()]))
    return found


def alive(services: Services, now: datetime) -> None:
    """Every program renewed its heartbeat just now."""
    for name in (TICK, "timer", "beat", "worker-mail@a", "worker-ai@a"):
        status.note_heartbeat(services, name, now)


@pytest.fixture
def due(services: Services, db: Database, team: People) -> None:
    """A reminder, due at NOW."""
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
    reminders.plan(services, NOW)


# --- names --------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", OURS, ids=lambda rule: rule["alert"])
def test_each_rule_names_a_figure_and_labels_that_the_page_has(
    rule: dict[str, Any], services: Services
) -> None:
    alive(services, NOW)
    samples = exposed(services, NOW)
    selectors = list(_SELECTOR.finditer(rule["expr"]))
    assert selectors
    for found in selectors:
        assert matching(samples, found["name"], None), found["name"]
        for label, values in wanted(found["labels"]):
            known = {one.labels.get(label) for one in matching(samples, found["name"], None)}
            assert set(values.replace(r"\-", "-").split("|")) <= known, label


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_rule_says_in_both_languages_what_is_the_matter_and_what_to_do(
    rule: dict[str, Any],
) -> None:
    words = rule["annotations"]
    assert words["summary"].isascii()
    assert not words["summary_ja"].isascii()
    assert words["action"].split()[0] in {"task-progress", "systemctl"}
    assert rule["labels"]["severity"] in {"critical", "warning"}


def test_the_scraped_job_is_the_one_whose_silence_is_told() -> None:
    (job,) = load("prometheus-scrape.yml")["scrape_configs"]
    (rule,) = [rule for rule in RULES if rule not in OURS]
    assert job["job_name"] in rule["expr"]
    assert job.get("metrics_path", "/metrics") == "/metrics"
    assert int(job["scrape_timeout"].removesuffix("s")) >= 10  # above app.metrics.ANSWER_WITHIN


# --- when they speak ------------------------------------------------------------------------


def test_while_all_is_well_no_rule_speaks(services: Services, due: None) -> None:
    alive(services, NOW + 9 * MINUTE)
    assert firing(services, NOW + 9 * MINUTE) == []


def test_late_mails_speak_after_10_and_30_minutes(services: Services, due: None) -> None:
    alive(services, NOW + 11 * MINUTE)
    assert firing(services, NOW + 11 * MINUTE) == ["MailsNotAttempted"]
    alive(services, NOW + 30 * MINUTE)
    assert firing(services, NOW + 30 * MINUTE) == ["MailsNotAttempted", "MailsNotEnded"]


def test_a_mail_put_off_again_and_again_speaks_too(
    services: Services, db: Database, due: None
) -> None:
    with db.write() as session:
        session.execute(update(OutboxMail).values(retries=4, not_before=NOW + 40 * MINUTE))
    alive(services, NOW + 30 * MINUTE)
    assert firing(services, NOW + 30 * MINUTE) == ["MailsNotEnded"]


def test_the_mail_server_speaks_after_2_minutes_and_a_refused_login_at_once(
    services: Services, db: Database
) -> None:
    refused = Answer(535, "5.7.8 no")
    login = MailSendError(Phase.AUTH, Both("断られました", "refused"), answer=refused)
    for error, at_once in (
        (MailSendError(Phase.CONNECT, Both("不通", "away")), []),
        (login, ["LoginRefused"]),
    ):
        with db.write() as session:
            Breaker().reset(session, NOW)
            Breaker().trip(session, error, NOW)
        alive(services, NOW + 119 * SECOND)
        assert firing(services, NOW + 119 * SECOND) == at_once
        assert firing(services, NOW + 120 * SECOND) == ["MailServerUnusable", *at_once]


def test_a_machine_without_redis_speaks_after_5_minutes_and_one_without_disk_at_once(
    services: Services, db: Database
) -> None:
    def tell(what: str, now: datetime) -> None:
        alive(services, now)
        with db.write() as session:
            put(session, Service, {"name": f"{what}@web"}, {
                "at": now, "data": {"since": NOW.isoformat(), "free_mb": 12},
            })  # fmt: skip

    for minutes, expected in ((4, []), (5, ["RedisAway"])):
        tell("redis_away", NOW + minutes * MINUTE)
        assert firing(services, NOW + minutes * MINUTE) == expected
    alive(services, NOW + 11 * MINUTE)  # it has said nothing since
    assert firing(services, NOW + 11 * MINUTE) == []
    tell("disk_short", NOW + 11 * MINUTE)
    assert firing(services, NOW + 11 * MINUTE) == ["DiskShort"]


def test_a_part_that_starts_again_and_again_speaks(services: Services, db: Database) -> None:
    alive(services, NOW)
    with db.write() as session:
        raise_alert(session, Alarm.RESTARTS, "worker-mail@a", now=NOW)
    assert firing(services, NOW) == ["PartRestarts:part_restarts"]


@pytest.mark.parametrize(
    ("silent", "expected"),
    [
        (TICK, "NoTick"),
        ("beat", "PartSilent:beat"),
        ("worker-mail@a", "PartSilent:worker-mail"),
        ("worker-ai@a", "PartSilent:worker-ai"),
    ],
)
def test_what_falls_silent_speaks_after_5_minutes(
    services: Services, silent: str, expected: str
) -> None:
    alive(services, NOW + 5 * MINUTE + SECOND)
    status.note_heartbeat(services, silent, NOW + SECOND)
    assert firing(services, NOW + 5 * MINUTE + SECOND) == []
    assert firing(services, NOW + 5 * MINUTE + 2 * SECOND) == [expected]
