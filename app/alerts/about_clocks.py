"""PURE. The sentences of the alerts about clocks."""

from app.alerts.sentence import PARTS, AlertWords, Facts, words
from app.locale import Both


def in_doubt(host: str, facts: Facts) -> AlertWords:
    """This machine\'s clock is not believed."""
    ahead = span(facts.get("ahead", 0))
    against = {
        "boot": Both("起動してからの経過時間", "the time since the machine started"),
    }.get(str(facts.get("witness")), Both("データベースの時計", "the database's clock"))
    return words(
        f"{host} の時計が、{against.ja}より約{ahead.ja}進んでいます。"
        "確かめられるまで、このマシンではリマインダーを決めず、送りません。",
        f"The clock of {host} is {ahead.en} ahead of {against.en}. Until that is settled, this "
        "machine decides and sends no reminders.",
        "`timedatectl` で時計を確かめてください。直せば自動で再開します。時計が正しければ、"
        "`task-progress clock --accept` かページ「送信の状態」のボタンで再開します。",
        "Look at `timedatectl`; once the clock is right, it goes on by itself. If it is right as "
        'it is, say `task-progress clock --accept`, or use the button on "Sending status".',
    )


def was_ahead(_about: str, facts: Facts) -> AlertWords:
    """It was set back, and what it had stored was put right."""
    members, mails = facts.get("members", 0), facts.get("mails", 0)
    return words(
        "このマシンの時計が進んでいたため、未来の日時が記録されていました。元に戻しました"
        f"(メンバー {members}人、メール {mails}通)。",
        "The clock had been ahead, and instants from the future were stored. They were put back "
        f"(members: {members}, mails: {mails}).",
        "進んでいた間に送られたメールは `task-progress outbox list` で、時計は `timedatectl` で"
        "確かめてください。",
        "Look at what went out meanwhile with `task-progress outbox list`, and at the clock "
        "with `timedatectl`.",
    )


def sign_ahead(about: str, facts: Facts) -> AlertWords:
    """A part was last seen in the future."""
    part, ahead = PARTS.get(about, Both(about, about)), span(facts.get("ahead", 0))
    return words(
        f"{part.ja}の最後の記録が、約{ahead.ja}先の時刻になっています。時計がずれています。",
        f"{part.en} was last seen {ahead.en} in the future: a clock is wrong.",
        "すべてのマシンで `timedatectl` を確かめ、時刻同期を有効にしてください。",
        "Look at `timedatectl` on every machine, and let each keep its clock by NTP.",
    )


def span(seconds: float) -> Both:
    """A length of time, roughly, as people say it."""
    if seconds >= 2 * 86_400:
        return Both(f"{round(seconds / 86_400)}日", f"{round(seconds / 86_400)} days")
    if seconds >= 2 * 3_600:
        return Both(f"{round(seconds / 3_600)}時間", f"{round(seconds / 3_600)} hours")
    return Both(f"{round(seconds / 60)}分", f"{round(seconds / 60)} minutes")
