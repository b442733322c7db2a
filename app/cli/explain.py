"""`simulate` and `why`: looking ahead and back."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date
from typing import TypeVar
from zoneinfo import ZoneInfo

import click

from app import clock, digest, reminders
from app.cli.common import date_option, reason_words, user_option, verdict_words
from app.cli.language import LOCALE, Failed, UsageRefused, complain, say, t
from app.cli.picture import Picture
from app.cli.shell import DAY, OneOf, Shell, as_json, cli, option
from app.cli.show import show_json, show_json_list, show_table
from app.compose.text import date_words
from app.locale import Both, counted
from app.mime.address import address_key
from app.outbox.allowlist import in_pilot
from app.people.values import pairs
from app.reminders import Compared, Forecast, brake
from app.services import Services
from app.why.reminder import explain

D = TypeVar("D", Forecast, digest.Ahead)


@cli.entry(
    "simulate",
    "だれにいつ送ることになるかを見る(何も送らない)",
    "show who would get a mail when; sends nothing",
)
@option("--from", "最初の日", "first date", "first", type=DAY, required=True)
@option("--to", "最後の日(省略時は同じ日)", "last date", "last", type=DAY)
@user_option
@option(
    "--set",
    "設定をこう変えたら(--user があればその人の、なければ組織の設定。何度でも指定可)",
    "as if this setting were so: the member's with --user, else the organisation's",
    "words",
    multiple=True,
    metavar="KEY=VALUE",
)
@option(
    "--kind",
    "reminder のほか、リーダーへの週次のまとめとお知らせ",
    "not the reminders, but the leads' digests or the steps of escalation",
    type=OneOf("KIND", "reminder", "weekly_digest", "escalation"),
    default="reminder",
)
@as_json
@click.pass_obj
def simulate(
    shell: Shell,
    *,
    kind: str,
    first: date,
    last: date | None,
    email: str | None,
    words: tuple[str, ...],
    json_wanted: bool,
) -> None:
    """The decisions to come if no more reports came."""
    last = last or first
    if last < first:
        raise UsageRefused(
            f"--to {last} が --from {first} より前です。", f"--to {last} is before --from {first}."
        )
    services = shell.services()
    if kind != "reminder":
        _about_teams(services, kind, first, last, (email, words), json_wanted=json_wanted)
        return
    _show_left_out(services, email)
    if words:
        compared = reminders.compare(services, first, last, email, pairs(words))
        _show_compared(compared, first, last, json_wanted=json_wanted)
        return
    forecasts = reminders.simulate(services, first, last, email)
    if json_wanted:
        show_json_list(one.as_json() for one in forecasts)
        return
    seen, stopped = _Passed(first, services.config.app_timezone), _Stopped(services)
    looked = map(seen.look, map(stopped.look, forecasts))
    if first == last:
        tasks = t("タスク", "tasks")
        _show_decisions(looked, t("宛先", "member"), tasks, lambda one: " ".join(one.tasks))
    else:
        picture = Picture(first, last)
        for one in looked:
            picture.add(one.email, one.local_date, one.reason)
        picture.show()
    seen.show()
    stopped.show()


class _Stopped:
    """What of the forecast would not go out: addresses outside MAIL_ONLY_TO, and the volume brake."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.sends: Counter[date] = Counter()
        self.outside = 0

    def look(self, one: Forecast) -> Forecast:
        """Hands on what it counted."""
        if one.verdict == "send":
            self.sends[one.local_date] += 1
            self.outside += not in_pilot(self.services.config.mail_only_to, one.email)
        return one

    def show(self) -> None:
        """A note for each way, where there is one."""
        total = sum(self.sends.values())
        if self.outside:
            note = t(
                f"送る{total}通のうち{self.outside}通は、MAIL_ONLY_TO の対象外のため送られません。",
                f"MAIL_ONLY_TO keeps {self.outside} of {total} from going.",
            )
            click.echo(note, err=True)
        for day, limit in brake.above_limit(self.services, self.sends).items():
            shown = date_words(day)
            note = t(
                f"{shown.ja}の{self.sends[day]}通は、その日の上限の{limit}通を超えるため、確認待ちになる"
                "ことがあります。確認したら task-progress resume で送ります。",
                f"{shown.en}: {self.sends[day]} mails are above that day's limit of {limit} and may be "
                "held; task-progress resume lets them go.",
            )
            click.echo(note, err=True)


class _Passed:
    """Whether an hour that is forecast has passed: nothing recorded is read, and it says so."""

    def __init__(self, first: date, zone: str) -> None:
        self.first, self.now = first, clock.now()
        self.passed = first < self.now.astimezone(ZoneInfo(zone)).date()

    def look(self, one: Forecast) -> Forecast:
        """Hands on what it saw."""
        self.passed = self.passed or (one.at is not None and one.at <= self.now)
        return one

    def show(self) -> None:
        """The note, where it is due."""
        if self.passed:
            shown = date_words(self.first)
            note = t(
                f"{shown.ja}の時刻はすでに過ぎています。実際の決定は why で分かります。",
                f"The hour of {shown.en} has passed. `why` tells what was really decided.",
            )
            click.echo(note, err=True)


def _about_teams(
    services: Services,
    kind: str,
    first: date,
    last: date,
    narrowed: tuple[str | None, tuple[str, ...]],
    *,
    json_wanted: bool,
) -> None:
    """The mails about a team that would come."""
    email, words = narrowed
    if words:
        raise UsageRefused(
            "--set は --kind reminder とだけ使えます。", "--set goes with --kind reminder only."
        )
    wanted = address_key(email) if email is not None else None
    if email is not None:
        reminders.left_out(services, email)  # refuses an unknown address
    found = (
        one
        for one in digest.ahead(services, kind, first, last)
        if wanted in {None, address_key(one.email), address_key(one.notified or "")}
    )
    if json_wanted:
        show_json_list(one.as_json() for one in found)
    else:
        notified = t("知らせる相手", "told")
        _show_decisions(found, t("メンバー", "member"), notified, _step_words)


def _step_words(one: digest.Ahead) -> str | None:
    if one.step is None:
        return None
    days = t(f"{one.silent}営業日", counted(one.silent or 0, "workday"))
    return f"{one.notified or t('本人に予告', 'a word beforehand')} ({days})"


def _show_left_out(services: Services, email: str | None) -> None:
    """Names who is missing in what follows; asked about that one member it ends here."""
    for address, why_not in reminders.left_out(services, email).items():
        sentence = Both(f"{address}: {why_not.ja}", f"{address}: {why_not.en}")
        if email is not None:
            raise Failed(*sentence)
        complain(Both(f"対象外 {sentence.ja}", f"left out: {sentence.en}"))


def _show_decisions(
    found: Iterable[D], whose: str, last: str, last_of: Callable[[D], str | None]
) -> None:
    """A line each; `last`: the column that only decisions of this kind have."""
    show_table(
        (t("日付", "date"), whose, t("決定", "decision"), t("時刻", "at"), t("理由", "reason"), last),
        (
            (one.local_date, one.email, verdict_words(one.verdict),
             f"{one.at:%H:%M %Z}" if one.at else None, reason_words(one.reason), last_of(one))
            for one in found
        ),
    )  # fmt: skip


def _show_compared(
    compared: Iterable[Compared], first: date, last: date, *, json_wanted: bool
) -> None:
    """What would change; over several days also the picture as it would be."""
    if json_wanted:
        show_json_list(one.as_json() for one in compared)
        return
    picture = Picture(first, last)
    differing: list[Compared] = []
    for one in compared:
        after = one.after
        picture.add(after.email, after.local_date, after.reason, differs=one.differs)
        if one.differs:
            differing.append(one)
    if first != last:
        picture.show()
        click.echo()
    if not differing:
        say("何も変わりません。", "Nothing would change.")
        return
    show_table(
        (t("日付", "date"), t("宛先", "member"), t("いま", "now"), t("変更後", "then")),
        (
            (one.after.local_date, one.after.email, _in_short(one.before), _in_short(one.after))
            for one in differing
        ),
    )


def _in_short(one: Forecast) -> str:
    words = verdict_words(one.verdict)
    if one.at is None:
        return f"{words}: {reason_words(one.reason)}"
    tasks = t(f"{len(one.tasks)}件", counted(len(one.tasks), "task"))
    return f"{words} {one.at:%H:%M %Z} {tasks}"


@cli.entry("why", "なぜ送った(送らなかった)か", "why a mail was sent, or not")
@click.argument("email")
@date_option
@as_json
@click.pass_obj
def why(shell: Shell, email: str, on: date | None, json_wanted: bool) -> None:
    """The recorded decision, and what became of the mail."""
    services = shell.services()
    found = explain(services, email, on, clock.now())
    if json_wanted:
        show_json(found.facts)
    else:
        click.echo(found.paragraph.to(LOCALE))
