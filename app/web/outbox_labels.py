"""The labels of mails on pages: kinds, states with a mark, history."""

from app.compose.colours import AWAY, GOOD, LATE, NOT_YET, STUCK
from app.letters import LETTERS
from app.locale import Both
from app.models import State

KINDS = {kind: one.name for kind, one in LETTERS.items()}
# The mark of each state (style.css), and its word.
MARKS = {
    State.READY: (NOT_YET.style, Both("送信待ち", "Ready")),
    State.SENDING: (NOT_YET.style, Both("送信中", "Sending")),
    State.IN_DOUBT: (NOT_YET.style, Both("応答待ち", "Answer awaited")),
    State.ACCEPTED: (GOOD.style, Both("受付済み", "Accepted")),
    State.FAILED: (STUCK.style, Both("失敗", "Failed")),
    State.DEAD: (STUCK.style, Both("中止", "Given up")),
    State.UNKNOWN: (LATE.style, Both("不明", "Unknown")),
    State.SUPPRESSED: (AWAY.style, Both("送らず", "Not sent")),
    State.CANCELLED: (AWAY.style, Both("取り消し", "Cancelled")),
    State.EXPIRED: (LATE.style, Both("期限切れ", "Expired")),
}
EVENTS = {
    "created": Both("送ることが決まりました", "it was decided to send it"),
    "deferred": Both("あとでもう一度試します", "will be tried again"),
    "returned": Both(
        "差出人かサーバーの問題のため戻しました",
        "was put back: the sender or the server is at fault",
    ),
    "resent": Both("送り直しました", "was sent again"),
    "resend": Both("送り直すために作られました", "was made to send another again"),
}
