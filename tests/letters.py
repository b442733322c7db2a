"""Sample facts for letters: members and tasks of the sample team, seen on Wednesday 25 November.

Shared by test_compose.py and by look.py, which takes pictures of the same letters.
"""

import re
from datetime import date
from typing import Any

from app.compose.reminder import ReminderFacts, TaskLine

TODAY = date(2026, 11, 25)
FRIDAY = date(2026, 11, 20)


def task(ref: str, title: str, due_on: date | None = None, **facts: Any) -> TaskLine:
    """A task that was never reported on, unless `facts` say otherwise."""
    plain: dict[str, Any] = {
        "report_every": "daily",
        "last_on": None,
        "last_by": None,
        "last_percent": None,
        "last_status": None,
        "last_text": None,
        "silent": 1,
        "task_id": int(ref[2:]) if re.fullmatch("T-[0-9]+", ref) else 1000,
    }
    return TaskLine(ref=ref, title=title, due_on=due_on, **plain | facts)


def letter(*tasks: TaskLine, **facts: Any) -> ReminderFacts:
    """The facts of one reminder, to 鈴木 一郎 unless `facts` say otherwise."""
    plain: dict[str, Any] = {
        "member_id": 17,
        "name": "鈴木 一郎",
        "email": "suzuki.ichiro@example.jp",
        "locale": "ja",
        "local_date": TODAY,
        "kind": "reminder",
        "n": 0,
        "report_url": "https://progress.example.jp/r/C0j8EbWFkZS11cC1zaWduYXR1cmUR",
        "stop_url": "https://progress.example.jp/u/eyJ1IjoxN30.aRkD3Q.c3RvcC1vci1jaGFuZ2U",
        "reply_to_shown": "Support <support@example.com>",
        "message_origin": "7f3a9c@example.jp",
    }
    return ReminderFacts(tasks=tasks, **plain | facts)


SUZUKI = letter(
    task(
        "T-003",
        "監視ダッシュボード作成",
        date(2026, 12, 25),
        last_on=FRIDAY,
        last_percent=85,
        last_status="at_risk",
        last_text="想定より工数がかかりそうです。相談させてください。",
    ),
    task(
        "T-004",
        "単体テストの追加",
        date(2026, 12, 4),
        last_on=FRIDAY,
        last_percent=35,
        last_status="at_risk",
        last_text="先方の回答が遅れています。",
    ),
    task(
        "T-005",
        "脆弱性診断の対応",
        date(2027, 1, 8),
        last_on=FRIDAY,
        last_percent=75,
        last_status="on_track",
        last_text="予定どおりです。",
    ),
)

TAKAHASHI = letter(
    task("T-009", "バッチ処理の分割 (<b>重要</b>)", date(2026, 11, 27)),
    task(
        "T-010",
        "多言語対応 {{調査}}",
        last_on=FRIDAY,
        last_by="田中 美咲",
        last_percent=35,
        last_status="on_track",
        last_text="予定どおりです。",
    ),
    member_id=4,
    name="髙橋 健",
    email="takahashi.ken@example.jp",
)

KIMURA = letter(
    task(
        "T-049",
        "年末調整の案内",
        FRIDAY,
        report_every="weekly",
        last_on=date(2026, 11, 12),
        last_percent=30,
        last_status="blocked",
        last_text="テスト環境が動かず、止まっています。" * 9,
        silent=4,
    ),
    task("T-051", "備品の棚卸し", TODAY, silent=6),
    member_id=18,
    name="木村 とても長い表示名のために折り返しが必要になる三十文字をこえる名前の太郎左衛門",
    email="kimura.long@example.jp",
    kind="asked_reminder",
    n=1,
    reply_to_shown=None,
)

SMITH = letter(
    task(
        "T-019",
        "ドキュメント整備",
        date(2026, 11, 27),
        last_on=date(2026, 11, 10),
        last_percent=40,
        last_status="at_risk",
        last_text="This may take longer than I thought.",
        silent=9,
    ),
    task("T-018", "脆弱性診断の対応", date(2026, 12, 25)),
    task("T-020", "Review of the database backup and restore procedure", FRIDAY),
    member_id=7,
    name="Smith, John",
    email="smith.john@example.com",
    locale="en",
)

LENA = letter(
    task(
        "T-021",
        "iOS版リリース準備",
        TODAY,
        report_every="weekly",
        last_on=date(2026, 11, 10),
        last_by="佐藤 花子",
        last_percent=15,
        last_status="done",
        last_text="This may take longer than I thought.",
        silent=1,
    ),
    member_id=8,
    name="Lena Müller",
    email="mueller.lena@example.com",
    locale="en",
)

MANY = letter(*(task(f"T-{number:03}", f"契約更新 {number}社目", TODAY) for number in range(1, 36)))

LETTERS = {
    "suzuki": SUZUKI,
    "takahashi": TAKAHASHI,
    "kimura": KIMURA,
    "smith": SMITH,
    "lena": LENA,
    "many": MANY,
}
