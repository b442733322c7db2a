"""The organisation that is measured: N members, each with one task to report on today."""

from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import insert

from app.db import Database
from app.models import DecisionRow, Member, Report, Task

# Wednesday 2026-11-25, 09:00 in Tokyo; the last report counts for Friday, so that is long ago.
NOW = datetime(2026, 11, 25, tzinfo=UTC)
EARLIER = NOW - timedelta(hours=1)  # the hour of the first WARM members, who warm the sender up
WARM = 20
TODAY, YESTERDAY, FRIDAY = date(2026, 11, 25), date(2026, 11, 24), date(2026, 11, 20)

TITLES = (
    "監視ダッシュボード作成", "単体テストの追加", "脆弱性診断の対応", "見積書のひな形を見直す",
    "契約更新の連絡(A社・B社)", "多言語対応の調査", "請求データの突き合わせ", "新人研修の資料作成",
    "在庫一覧の画面改修", "バッチ処理の分割", "年末調整の案内", "iOS版リリース準備",
)  # fmt: skip
FAMILY = ("佐藤", "鈴木", "髙橋", "田中", "伊藤", "渡辺", "山本", "中村", "小林", "加藤")
GIVEN = ("花子", "一郎", "健", "美咲", "陽菜", "蓮", "結衣", "大翔", "さくら", "直樹")
SAID = (
    "予定どおりです。", "先方の回答が遅れています。", "テスト環境が動かず、止まっています。",
    "想定より工数がかかりそうです。相談させてください。", "レビュー待ちです。",
)  # fmt: skip
WORDS = ("on_track", "at_risk", "blocked")


def fill(database: Database, number: int) -> None:
    """WARM members and `number` more, their tasks, a report each, and yesterday's decision.

    Yesterday everybody got a mail: today's number is a usual one, so the brake does not hold it.
    """
    numbers = range(1, WARM + number + 1)
    with database.write() as session:
        session.execute(insert(Member), [_member(n) for n in numbers])
        session.execute(insert(Task), [_task(n) for n in numbers])
        session.execute(insert(Report), [_report(n) for n in numbers])
        session.execute(insert(DecisionRow), [_decision(n) for n in numbers])


def _member(n: int) -> dict[str, object]:
    return {
        "id": n,
        "email": f"member{n}@example.jp",
        "name": f"{FAMILY[n % 10]} {GIVEN[n // 10 % 10]}",
        "locale": "ja",
        "notify_at": time(8) if n <= WARM else time(9),
        "decided_through": YESTERDAY,
        "next_due_at": EARLIER if n <= WARM else NOW,
        "created_at": NOW,
    }


def _task(n: int) -> dict[str, object]:
    return {
        "id": n,
        "ref": f"T-{n:05}",
        "title": f"{TITLES[n % len(TITLES)]} {n}",
        "assignee_id": n,
        "start_on": date(2026, 11, 2),
        "due_on": date(2026, 11, 20 + n % 10),
        "report_every": "daily",
    }


def _report(n: int) -> dict[str, object]:
    return {
        "task_id": n,
        "reporter_id": n,
        "counts_for": FRIDAY,
        "percent": n % 20 * 5,
        "status": WORDS[n % 3],
        "text": SAID[n % len(SAID)],
        "created_at": datetime(2026, 11, 20, 9, tzinfo=UTC),
    }


def _decision(n: int) -> dict[str, object]:
    return {
        "user_id": n,
        "slot": "reminder",
        "local_date": YESTERDAY,
        "verdict": "send",
        "facts": {
            "frequency": "daily",
            "timezone": "Asia/Tokyo",
            "notify_at": "09:00",
            "tasks": [],
        },
        "at": NOW,
        "decided_at": NOW,
    }
