"""One example for the help of each command: what follows its name."""

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
        ("outbox resend", "1000"),
        ("outbox export", "--date 2026-11-24 > mails.csv"),
        ("settings show", ""),
        ("settings set", "notify_at=08:30"),
        ("member show", "suzuki.ichiro@example.jp"),
        ("member set", "suzuki.ichiro@example.jp notify_at=08:30"),
        ("leave add", "suzuki.ichiro@example.jp 2026-12-28 2027-01-04"),
        ("leave list", "suzuki.ichiro@example.jp"),
        ("leave remove", "suzuki.ichiro@example.jp 2026-12-28 2027-01-04"),
        ("snooze", "suzuki.ichiro@example.jp --until 15:00"),
        ("off-today", "suzuki.ichiro@example.jp"),
        ("admin", "sato.hanako@example.jp"),
        ("pause", ""),
        ("resume", ""),
        ("status", ""),
        ("alerts list", ""),
        ("alerts ack", "all"),
        ("doctor", "--send-test hanako@example.jp"),
        ("systemd", "--user taro --dir /home/taro/task-progress-api --out units"),
        ("backup", "task-progress.backup"),
        ("restore", "task-progress.backup --replace"),
        ("run", "--port 8080"),
    )
}
