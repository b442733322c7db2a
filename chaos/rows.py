"""The fault table: what each row requires (L lost, D extra copies), and what is not played here."""

REQUIRED = {
    "F1": "L 0, D <= connections per kill",
    "F2": "L 0, D <= connections per kill",
    "F3": "L 0, D 0, resent within the lease",
    "F4": "L 0, D 0",
    "F6": "L 0, D <= 1, same Message-ID",
    "F7": "L 0, D <= 1",
    "F8": "copies <= 2, ends unknown, alert",
    "F9": "L 0, D 0, running sends finish",
    "F10": "L 0, D 0",
    "F12": "L 0, D 0, found by the sweep",
    "F13": "L 0, D 0, sent once beat is back",
    "F14": "L 0, D 0, the timer sends",
    "F15": "day 1 expired, day 2 normal",
    "F17": "beat ticks <= 60 s, L 0",
    "F18": "L 0, D 0",
    "F19": "L 0, D 0",
    "F20": "L 0, D 0, mail goes without Redis",
    "F21": "L 0, a queued job runs <= 90 s after each",
    "F22": "L 0, pages p95 < 2 s",
    "F23": "L 0",
    "F24": "L 0, a queued job runs <= 60 s after the fix",
    "F26": "D 0",
    "F28": "L 0, few log lines",
    "F29": "L 0, D 0, 0 NOPERM",
    "F30": "L 0, D <= connections",
    "F32": "L 0, D <= sessions ended in the dot window",
    "F33": "D 0, no dot for that try",
    "F34": "L 0, copies <= 2",
    "F35": "others flow, that mail late",
    "F36": "L 0, senders wait",
    "F37": "no dot without a row, L 0 after",
    "F38": "L 0, D 0, status says so",
    "F39": "no dot meanwhile, L 0, D 0, mail goes again <= 90 s",
    "F40": "L 0, D 0, claims not burned",
    "F41": "accepted at the next tries; at the end expired, alert",
    "F42": "19 accepted, 1 failed, no retry",
    "F43": "failed, D 0",
    "F44": "breaker, alert, L 0, sent <= 5 min after return",
    "F45": "abandoned <= 90 s, L 0, D 0",
    "F46": "L 0, copies <= 2",
    "F47": "copies = 1",
    "F48": "D 0, retried",
    "F52": "breaker, alert, mails stay ready",
    "F53": "all accepted, D 0",
    "F54": "L 0, D <= cuts in the dot window",
    "F58": "date in subject = planned date, one weekly mail a week",
    "F60": "suppressed, no copy",
    "F61": "dead after 5 claims, or failed; the others accepted <= 5 min",
    "F62": "L 0, D <= kills x connections, < 300 MB each",
    "F64": "L 0, D 0",
    "F66": "L 0, D 0, nothing goes out before an admin's word",
    "F75": "L 0, D <= connections per sender, no program restarted",
    "F76": "L 0, D <= connections per kill",
    "F77": "L 0, D <= connections per kill, 0 at the other, an alert at both",
}

_TLS = (
    "`tests/test_mailer_tls.py`: `test_a_wrong_certificate_is_named_in_plain_words_and_nothing_is_sent`,"
    " `test_without_starttls_nothing_is_sent_where_tls_or_a_login_is_asked`,"
    " `test_an_old_tls_is_refused_and_called_old`"
)

# For each row the fault, and the tests that show it.
ELSEWHERE = {
    "F51": ("TLS: expired, self-signed, wrong host, missing, stripped, old", _TLS),
    "F55": ("DST gap and overlap days, half-hour zones", "`tests/test_due.py`, the four zones"),
    "F58": (
        "one weekly mail per ISO week",
        "`tests/test_due.py`: `test_a_weekly_member_never_gets_two_mails_in_an_iso_week`",
    ),
    "F59": ("quiet hours of every shape", "`tests/test_due.py`: `test_quiet_hours_...`"),
    "F71": (
        "the wall clock of a real tick is 30 days ahead, then right again",
        (
            "`tests/test_wall_clock.py`: "
            "`test_a_tick_with_a_clock_30_days_ahead_plans_nothing_and_the_next_right_one_does`"
        ),
    ),
    "F72": (
        "the wall clock of a real beat is set by 9 hours, both ways",
        "`tests/test_wall_clock.py`: `test_beat_follows_its_clock_both_ways_within_a_minute`",
    ),
    "F73": (
        "a machine starts with a clock 9 hours to 30 days ahead, which is then set right",
        (
            "`tests/test_clock_trust.py`: "
            "`test_once_the_clock_is_right_each_day_has_its_decision_and_its_mail`"
        ),
    ),
    "F74": (
        "any sequence of jumps of the clock and starts of the machine",
        (
            "`tests/test_clock_trust.py`: "
            "`test_no_path_of_the_clock_doubles_a_mail_or_leaves_a_member_without_a_decision`"
        ),
    ),
    "F75": (
        "an older SQLite file is copied back and nobody marks it; the timer's command, or a worker",
        "`tests/test_behind.py`: `test_a_file_copied_back_by_hand_mails_nobody_a_second_time`",
    ),
    "F76": (
        "a PostgreSQL standby takes over without the last transactions",
        (
            "`tests/test_failover.py`: "
            "`test_a_standby_that_takes_over_without_the_last_records_is_marked_as_restored`"
        ),
    ),
    "F77": (
        "many ticks at once, a purge, clocks set, Redis emptied, older or away",
        (
            "`tests/test_behind.py`: `test_many_ticks_at_once_mark_nothing`, "
            "`test_no_purge_no_clock_and_no_other_redis_marks`"
        ),
    ),
}

# For each row the fault, and why it is not played yet.
NOT_YET: dict[str, tuple[str, str]] = {}
