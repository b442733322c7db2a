"""The facts of `status` as lines that people read, in the command, on pages and in alerts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from app.alerts.catalogue import STOPS_MAIL, Alarm
from app.compose import show_date
from app.locale import Both, counted
from app.outbox.reasons import REASONS, STATES
from app.reminders import undecided

TYPED = Both("`task-progress resume`", "`task-progress resume`")
ON_PAGE = Both("ページ「送信の状態」", 'the page "Sending status"')


@dataclass(frozen=True, slots=True)
class StatusLine:
    """One line of `status`: a mark ("ok", "warn", "bad") and a sentence."""

    mark: str
    sentence: Both


def lines(facts: dict[str, Any]) -> list[StatusLine]:
    """The facts of `status` as sentences, the worst first."""
    found = [*stopped(facts), *notices(facts), *_suppressed(facts), *_numbers(facts)]
    if facts["undecided"]:
        found += _bad(*undecided.sentence(facts["undecided"]))
    if not stopped(facts) and not _sending_alarms(facts) and not facts["tick_is_late"]:
        found += _ok("送信できる状態です。", "Sending is on.")
    order = {"bad": 0, "warn": 1, "ok": 2}
    return sorted(found, key=lambda line: order[line.mark])


def _bad(ja: str, en: str) -> list[StatusLine]:
    return [StatusLine("bad", Both(ja, en))]


def _warn(ja: str, en: str) -> list[StatusLine]:
    return [StatusLine("warn", Both(ja, en))]


def _ok(ja: str, en: str) -> list[StatusLine]:
    return [StatusLine("ok", Both(ja, en))]


def stopped(facts: dict[str, Any], how: Both = TYPED) -> list[StatusLine]:
    """Why nothing goes out, as far as no alert says it."""
    found: list[StatusLine] = []
    if facts["paused"]:
        hand = who_words(facts["paused_by"])
        found += _bad(
            f"送信を一時停止しています(操作: {hand.ja})。{how.ja} で再開します。",
            f"Sending is paused (by {hand.en}). To start it again: {how.en}.",
        )
    if facts["smtp_host"] is None:
        found += _bad(
            "SMTP_HOST が設定されていないため、メールは1通も送られません。",
            "SMTP_HOST is not set: no mail is sent.",
        )
    elif facts["another_mail_server"] is not None:
        found += _bad(*facts["another_mail_server"])
    elif facts["mail_server_trouble"] is not None and not _sending_alarms(facts):
        why = Both.of(facts["mail_server_trouble"])
        found += _warn(
            f"メールサーバーを使えないため、いまは送っていません({why.ja})。"
            "自動で試し直しています。",
            f"The mail server cannot be used, so nothing goes out now ({why.en}). "
            "It is tried again by itself.",
        )
    return found


def _sending_alarms(facts: dict[str, Any]) -> list[str]:
    """The open alerts with which mails do not go out, or are late."""
    names = [one["name"] for one in facts["alerts"]]
    return [name for name in names if name.partition(":")[0] in STOPS_MAIL]


def notices(facts: dict[str, Any], how: Both = TYPED) -> list[StatusLine]:
    """What else is to be known: of the mails, of the machine, and each open alert."""
    found = _of_mails(facts, how) + _of_the_machine(facts)
    for one in facts["alerts"]:
        what, fix = Both(**one["what"]), Both(**one["fix"])
        found += _bad(f"警告: {what.ja}{fix.ja}", f"Alert: {what.en} {fix.en}")
    if more := facts["alerts_open"] - len(facts["alerts"]):
        found += _bad(
            f"ほかに警告が{more}件あります。`task-progress alerts list` ですべて確かめられます。",
            f"And {counted(more, 'more alert')}: `task-progress alerts list` shows all.",
        )
    return found


def _of_mails(facts: dict[str, Any], how: Both) -> list[StatusLine]:
    """Mails that wait, go to few, or hold links that few can open."""
    found: list[StatusLine] = []
    if number := facts["held"]:
        found += _bad(
            f"{number}通が確認待ちです。{how.ja} で送信します。",
            f"{number} {'mail is' if number == 1 else 'mails are'} held. To send: {how.en}.",
        )
    if facts["mail_only_to"]:
        only = ", ".join(facts["mail_only_to"])
        found += _warn(
            f"試行中です。送信先は {only} に限られています。全員に送るには、.env の MAIL_ONLY_TO を"
            "空にして再起動してください。",
            f"Pilot: mail only to {only}. To send to all, empty MAIL_ONLY_TO in .env and restart.",
        )
    if facts["dead_links"]:
        url = facts["app_base_url"]
        found += _warn(
            f"APP_BASE_URL が {url} のため、メールの中のリンクはこのマシンでしか"
            "開けません。メンバーが開けるアドレスを設定してください。",
            f"APP_BASE_URL is {url}: the links in the mails open only on this machine. "
            "Set the address under which your members reach the pages.",
        )
    if facts["oldest_unsent_is_late"]:
        since = _local(facts, "oldest_unsent")
        found += _bad(
            f"10分以上、送られていないメールがあります(最も古いもの: {since.ja})。",
            f"A mail has waited for more than 10 minutes (since {since.en}).",
        )
    return found


def _of_the_machine(facts: dict[str, Any]) -> list[StatusLine]:
    """The tick, and what it needs: a log, Redis, a disk with room."""
    found: list[StatusLine] = []
    if not facts["log_written"]:
        found += _bad(
            "ログを書き込めません(ディスクの空きがないなど)。メールの送信は続いています。",
            "The log cannot be written (a full disk?). Mail goes on.",
        )
    found += _tick(facts)
    if facts["redis_answers"] is False:
        found += _bad(
            "Redis が応答しません。メールは5分ごとの安全タイマーで送られます。",
            "Redis does not answer: mails wait for the safety timer, every 5 minutes.",
        )
    if facts["disk_is_short"] and Alarm.DISK not in [one["name"] for one in facts["alerts"]]:
        found += _bad(
            f"ディスクの空きが {facts['disk_free_mb']} MB しかありません。なくなるとメールを送れません。",
            f"The disk has only {facts['disk_free_mb']} MB left. Without room no mail is sent.",
        )
    if facts["mcp_url"] is not None:
        url = facts["mcp_url"]
        found += _ok(
            f"AI エージェントが接続できます(MCP_SERVER=on): {url}",
            f"Agents may connect (MCP_SERVER=on): {url}",
        )
    return found


def _tick(facts: dict[str, Any]) -> list[StatusLine]:
    if facts["last_tick"] is None:
        return _warn("定期処理はまだ一度も動いていません。", "There has been no tick yet.")
    last = _local(facts, "last_tick")
    if facts["tick_is_late"]:
        return _bad(
            f"5分以上、定期処理が動いていません(最後: {last.ja})。",
            f"No tick for more than 5 minutes (last: {last.en}).",
        )
    return _ok(f"最後の定期処理: {last.ja}", f"Last tick: {last.en}")


def _local(facts: dict[str, Any], name: str) -> Both:
    """The instant `name` as the organisation's clock shows it."""
    moment = datetime.fromisoformat(facts[name]).astimezone(ZoneInfo(facts["timezone"]))
    return Both(
        f"{show_date(moment.date(), 'ja')} {moment:%H:%M}",
        f"{show_date(moment.date(), 'en')} {moment:%H:%M}",
    )


def who_words(who: str | None) -> Both:
    """Whose hand it was, as the audit names it ("cli:root"), for people."""
    name = (who or "").removeprefix("cli:")
    if who is None or name == who:
        return Both(who or "?", who or "?")
    return Both(f"{name}(コマンド)", f"{name} (command line)")


def _suppressed(facts: dict[str, Any]) -> list[StatusLine]:
    """Members whose address was refused for good again and again."""
    number = facts["suppressed"]
    if not number:
        return []
    return _warn(
        f"宛先不明のため、{number}人への送信を止めています(`task-progress member list --state "
        "suppressed`)。アドレスを確かめてから `task-progress member set EMAIL suppressed=no` で"
        "再開できます。",
        f"Mail to {counted(number, 'member')} is stopped: the address was refused (`task-progress member "
        "list --state suppressed`). Check the address, then `task-progress member set EMAIL "
        "suppressed=no`.",
    )


def _numbers(facts: dict[str, Any]) -> list[StatusLine]:
    states = facts["mails_of_the_last_day"]
    mails = _counted({state: (STATES[state], n) for state, n in states.items()})
    today = facts["decisions_of_today"]
    skipped = _counted({why: (REASONS[why], n) for why, n in today["skipped"].items()})
    left = facts["members"] - today["decided"]
    waiting = Both("", "")
    if left > 0:
        waiting = Both(
            f"まだ時刻が来ていない、または次の定期処理で決まる {left}人",
            f"Not decided yet, as the hour or the next tick is still to come: {left}",
        )
    return [
        *_ok(f"Task Progress {facts['version']}", f"Task Progress {facts['version']}"),
        *_ok(f"有効なメンバー: {facts['members']}人", f"Active members: {facts['members']}"),
        *_ok(
            f"今日の決定: {today['decided']}件、うち送る {today['send']}件、"
            f"送らない {today['decided'] - today['send']}件{_after(skipped.ja, ' – ')}"
            f"{_after(waiting.ja, '。')}",
            f"Decided today: {today['decided']}, to send {today['send']}, "
            f"not to send {today['decided'] - today['send']}{_after(skipped.en, ' – ')}"
            f"{_after(waiting.en, '. ')}",
        ),
        *_ok(
            f"直近24時間のメール: {mails.ja or '0通'}",
            f"Mails of the last 24 hours: {mails.en or '0'}",
        ),
    ]


def _counted(numbers: dict[str, tuple[Both, int]]) -> Both:
    """ "words (code) number", one after the other."""
    return Both(
        "、".join(f"{words.ja}({code}) {n}" for code, (words, n) in numbers.items()),
        "; ".join(f"{words.en} ({code}) {n}" for code, (words, n) in numbers.items()),
    )


def _after(words: str, sign: str) -> str:
    return words and sign + words
