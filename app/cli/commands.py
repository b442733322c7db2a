"""Every command in the order of the help, and one example for each: a new command joins here."""

import click

from app.cli.admin import admin
from app.cli.alerts import alerts_group
from app.cli.data import database, import_, sample
from app.cli.days import leave_group, workday_group
from app.cli.doctor import doctor
from app.cli.explain import simulate, why
from app.cli.maintenance import backup, purge, restore
from app.cli.members import member, off_today, settings, snooze
from app.cli.outbox import outbox_group
from app.cli.remind import remind
from app.cli.resend import resend
from app.cli.state import clock_command, confirm, pause, resume, run, status
from app.cli.systemd import systemd
from app.cli.tick import tick

outbox_group.add_command(resend)

COMMANDS: list[click.Command] = [
    database,
    import_,
    sample,
    tick,
    remind,
    simulate,
    why,
    outbox_group,
    settings,
    member,
    leave_group,
    workday_group,
    snooze,
    off_today,
    admin,
    pause,
    resume,
    clock_command,
    confirm,
    status,
    alerts_group,
    doctor,
    systemd,
    backup,
    restore,
    purge,
    run,
]

# What follows the name of each command.
EXAMPLES = {
    f"task-progress {command}": words
    for command, words in (
        ("db upgrade", ""),
        ("import", "members members.csv --dry-run"),
        ("sample load", ""),
        ("tick", ""),
        ("remind", "--user suzuki.ichiro@example.jp"),
        ("simulate", "--from 2026-11-24 --to 2026-11-30"),
        ("why", "suzuki.ichiro@example.jp --date 2026-11-24"),
        ("outbox list", "--state failed"),
        ("outbox show", "1000"),
        ("outbox cancel", "1000"),
        ("outbox resend", "--date 2026-11-24 --state failed"),
        ("outbox export", "--date 2026-11-24 > mails.csv"),
        ("settings show", ""),
        ("settings set", "notify_at=08:30"),
        ("member show", "suzuki.ichiro@example.jp"),
        ("member set", "suzuki.ichiro@example.jp notify_at=08:30"),
        ("leave add", "suzuki.ichiro@example.jp 2026-12-28 2027-01-04"),
        ("leave list", "suzuki.ichiro@example.jp"),
        ("leave remove", "suzuki.ichiro@example.jp 2026-12-28 2027-01-04"),
        ("workday add", "2026-12-19 --name 土曜出勤日"),
        ("workday list", ""),
        ("workday remove", "2026-12-19"),
        ("snooze", "suzuki.ichiro@example.jp --until 15:00"),
        ("off-today", "suzuki.ichiro@example.jp"),
        ("admin", "sato.hanako@example.jp"),
        ("pause", ""),
        ("resume", ""),
        ("clock", "--accept"),
        ("confirm", "--new-key"),
        ("status", ""),
        ("alerts list", ""),
        ("alerts ack", "all"),
        ("doctor", "--send-test hanako@example.jp"),
        ("systemd", "--user taro --dir /home/taro/task-progress-api --out units"),
        ("backup", "task-progress.backup"),
        ("restore", "task-progress.backup --replace"),
        ("purge", "--before 2026-08-01 --dry-run"),
        ("run", "--port 8080"),
    )
}
