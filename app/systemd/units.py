"""The units of systemd: rendered here, shown in docs/systemd.md, tried by tests/test_units.py.

celery-beat, celery-worker-mail and celery-worker-ai bear the specification's names, paths and
commands. Why each line of the hardening does no harm stands beside it, in the units themselves.
"""

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from app.config.sources import gather
from app.locale import Both
from app.refused import UnusableValue
from app.systemd import programs

SYSTEMD_FOLDER = Path("/etc/systemd/system")
TICK_MINUTES = 5

# Seconds after TERM before systemd kills. Whoever is killed between the final dot and the answer
# leaves a mail in doubt, so those who send get the time of a whole job (celery_wiring.JOB_SECONDS),
# in which also the slowest server's last answer is in; the tests hold these numbers to those.
MAIL_STOP_SECONDS = 930
TICK_STOP_SECONDS = 720
AI_STOP_SECONDS = 150
BEAT_STOP_SECONDS = 15
WEB_STOP_SECONDS = programs.WEB_GRACE_SECONDS + 10
# A tick that hangs would keep the timer from ever starting the next one. At this end it is told
# to stop (TERM): it finishes the mail on its way, and the next tick goes on with the others.
TICK_MOST_SECONDS = 3600

TARGET = "task-progress.target"
ENABLED = (
    TARGET,
    "celery-beat.service",
    "celery-worker-mail.service",
    "celery-worker-ai.service",
    "task-progress-web.service",
    "task-progress-tick.timer",
)


@dataclass(frozen=True)
class Place:
    """Where an installation stands: its user, its folder, and what it writes to."""

    user: str
    folder: Path
    writable: tuple[Path, ...]

    @property
    def bin_folder(self) -> Path:
        """The virtual environment's programs, by the specification's name for it."""
        return self.folder / "venv" / "bin"


def place(user: str, folder: Path) -> Place:
    """An installation of `user` in `folder`; what it writes to its own `.env` says.

    Raises UnusableValue for a name or folder that a unit cannot hold.
    """
    if not re.fullmatch(r"[a-z_][a-z0-9_.-]*", user):
        raise UnusableValue(
            f"「{user}」はユーザー名として使えません。小文字の英数字で書いてください。",
            f'"{user}" is no user name. Use small letters and digits.',
        )
    if not folder.is_absolute() or re.search(r"[\s%$\"'\\]", str(folder)):
        raise UnusableValue(
            f"「{folder}」は使えません。/ から始まり、空白、%、$、引用符、\\ のないパスで"
            "書いてください。",
            f'"{folder}" cannot be used. Write a path that begins with / and holds no blank, '
            "no %, $, quote or backslash.",
        )
    return Place(user, folder, _writable(folder))


def _writable(folder: Path) -> tuple[Path, ...]:
    """DATA_DIR and the folder of an SQLite file elsewhere; faulty settings are told elsewhere."""
    names = frozenset({"DATA_DIR", "DATABASE_URL"})
    values = gather({}, folder, names, [], [])
    data_dir = folder / (values.get("DATA_DIR") or "data")
    found = re.fullmatch(r"sqlite(?:\+pysqlite)?:///(.+)", values.get("DATABASE_URL", ""))
    elsewhere = (folder / found[1]).parent if found else data_dir
    return (data_dir,) if elsewhere in {data_dir, *data_dir.parents} else (data_dir, elsewhere)


def render(place: Place, locale: str, systemd: int = 0) -> dict[str, str]:
    """File name -> text of every unit; the comments are in the language of `locale`.

    `systemd`: the version that is to read them; older ones complain about what they do not know.
    """
    restart = _RESTART | (_GROWING if systemd >= STEPS_SINCE else {})
    programs_of = place.bin_folder
    mail = programs.worker(programs_of, "mail", host="%H", processes=2)
    ai = programs.worker(programs_of, "ai", host="%H", processes=4)
    web = programs.web(programs_of)
    return {
        "celery-beat.service": _service(
            place,
            locale,
            "Celery Beat Scheduler",
            programs.beat(programs_of),
            restart | _stop(BEAT_STOP_SECONDS),
        ),
        "celery-worker-mail.service": _service(
            place, locale, "Celery Worker (mail queue)", mail, restart | _stop(MAIL_STOP_SECONDS)
        ),
        "celery-worker-ai.service": _service(
            place,
            locale,
            "Celery Worker (ai queue)",
            ai,
            restart | _stop(AI_STOP_SECONDS) | _YIELDING,
        ),
        "task-progress-web.service": _service(
            place, locale, "Task Progress Web Pages", web, restart | _stop(WEB_STOP_SECONDS)
        ),
        "task-progress-tick.service": _tick(place, locale),
        "task-progress-tick.timer": _timer(locale),
        TARGET: _target(locale),
    }


def prepare_commands(place: Place, out: Path | None = None) -> list[str]:
    """What to type, in order, to put the units to work; `out`: where they were written to."""
    files = f"{shlex.quote(str(out))}/*" if out else "*.service *.timer *.target"
    return [
        *(f"sudo install -d -m 700 -o {place.user} {folder}" for folder in place.writable),
        f"sudo chown {place.user} {place.folder}/.env && sudo chmod 600 {place.folder}/.env",
        f"cd {place.folder} && sudo -u {place.user} venv/bin/task-progress db upgrade",
        *([f"sudo cp {files} {SYSTEMD_FOLDER}/"] if out != SYSTEMD_FOLDER else []),
        "sudo systemctl daemon-reload",
        f"sudo systemctl enable --now {' '.join(ENABLED)}",
        f"cd {place.folder} && sudo -u {place.user} venv/bin/task-progress doctor",
    ]


# --- the parts of a unit ----------------------------------------------------------------------

Reasoned = dict[str, Both]  # lines of a unit -> why they stand there

_HEAD: Reasoned = {
    "StartLimitIntervalSec=0": Both(
        "何度落ちても起動し直します(上限に達して止まったままになりません)。",
        "However often it ends, it is started again (no limit after which it stays down).",
    ),
    f"PartOf={TARGET}": Both(
        f"{TARGET} を止めると一緒に止まり、再起動すると一緒に再起動します。",
        f"Stops and restarts together with {TARGET}.",
    ),
}

_IN_STEP = Both(
    "時計が合ってから始めます(systemd-time-wait-sync を有効にした場合は、同期まで待ちます)。",
    "Starts once the clock is in step (waits for it where systemd-time-wait-sync is enabled).",
)

_RESTART: Reasoned = {
    "Restart=always\nRestartSec=5s": Both("", ""),
    f"RestartPreventExitStatus={os.EX_CONFIG}": Both(
        "終了コード78は設定の間違いです。直すまで起動し直しても同じです。ほかの理由(まだ見えない"
        "ディスク、更新の途中)で終わったときは、待って起動し直します。",
        "Exit code 78 means faulty settings: only a hand mends them. After any other end (a disk "
        "that is not there yet, an upgrade on its way) it waits and starts again.",
    ),
    "KillMode=mixed": Both(
        "停止の合図は親だけに送り、子は送信中のメールを終えてから止まります。",
        "Only the parent is told to stop; its children first finish the mails on their way.",
    ),
}

STEPS_SINCE = 254  # the first systemd that lets the pause grow
_GROWING: Reasoned = {
    "RestartSteps=6\nRestartMaxDelaySec=5min": Both(
        "何度も続けて終わるときは、待ち時間を5分まで延ばします。",
        "Where it ends again and again, the pause grows to 5 minutes.",
    ),
}

_YIELDING: Reasoned = {
    "Nice=19\nCPUSchedulingPolicy=idle\nIOSchedulingClass=idle\nCPUWeight=20\nOOMScoreAdjust=500": Both(
        "AI はメールの邪魔をしません。CPU、ディスク、メモリーを譲ります。",
        "AI never delays a mail: it yields processor, disk and memory.",
    ),
}

_HARDENING: Reasoned = {
    "NoNewPrivileges=yes\nCapabilityBoundingSet=\nAmbientCapabilities=": Both(
        "特権は要りません。ポートは 8000、sudo も setuid も使いません。",
        "No privilege is needed: the port is 8000, neither sudo nor setuid is used.",
    ),
    "ProtectSystem=strict\nProtectHome=read-only": Both(
        "全体を読み取り専用にします。WorkingDirectory と .env は /home の下でも読めます。",
        "Everything is read-only; WorkingDirectory and .env stay readable, under /home too.",
    ),
    "PrivateTmp=yes": Both(
        "一時ファイルはこのユニットだけのものです。ほかのプログラムと /tmp で受け渡しません。",
        "Temporary files are this unit's own; nothing is handed to others through /tmp.",
    ),
    "PrivateDevices=yes\nDevicePolicy=closed": Both(
        "機器は使いません。/dev/null、/dev/urandom、/dev/shm(Celery のセマフォ)は残ります。",
        "No devices are used; /dev/null, /dev/urandom and /dev/shm (Celery's semaphores) stay.",
    ),
    "ProtectProc=invisible\nProcSubset=pid": Both(
        "ほかのプロセスの情報は見ません。自分の子だけを扱います。",
        "It looks at no process but its own children.",
    ),
    "ProtectKernelTunables=yes\nProtectKernelModules=yes\nProtectKernelLogs=yes\n"
    "ProtectControlGroups=yes\nProtectClock=yes\nProtectHostname=yes": Both(
        "カーネル、時計、ホスト名は変えません。ホスト名を読むことはできます。",
        "It changes neither kernel, clock nor host name; reading the host name still works.",
    ),
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX": Both(
        "SMTP、Redis、PostgreSQL、HTTPS は TCP かソケットファイルです。",
        "SMTP, Redis, PostgreSQL and HTTPS are TCP or a socket file.",
    ),
    "RestrictNamespaces=yes\nRestrictRealtime=yes\nRestrictSUIDSGID=yes\nLockPersonality=yes\n"
    "KeyringMode=private": Both(
        "Python も使っているライブラリも、どれも必要としません。",
        "Neither Python nor any library in use needs these.",
    ),
    "MemoryDenyWriteExecute=yes": Both(
        "実行中に機械語を作るライブラリはありません(同じ制限の下で全ユニットをテストしています)。",
        "No library makes machine code while running (every unit is tested under this limit).",
    ),
    "SystemCallArchitectures=native\nSystemCallFilter=@system-service\n"
    "SystemCallFilter=~@privileged\nSystemCallErrorNumber=EPERM": Both(
        "普通のサービスが使うシステムコールだけです(同じ制限の下でテストしています)。",
        "Only the system calls of an ordinary service (tested under this limit).",
    ),
    "UMask=0077": Both(
        "作るファイルは本人だけが読めます。データを読むのはこのユーザーだけです。",
        "What it makes only its user can read, and nobody else reads the data.",
    ),
}


def hardening(place: Place, locale: str) -> str:
    """What the services may not do, the same for all of them, each with its reason."""
    writes = Both(
        "書き込むのはここだけです(DATA_DIR と SQLite のファイル)。",
        "It writes only here (DATA_DIR and the SQLite file).",
    )
    paths = " ".join(f"-{folder}" for folder in place.writable)
    return _reasoned({**_HARDENING, f"ReadWritePaths={paths}": writes}, locale)


def _service(place: Place, locale: str, title: str, command: list[str], more: Reasoned) -> str:
    return (
        _head(title, locale)
        + "\n[Service]\nType=simple\n"
        + _environment(place)
        + f"ExecStart={_quoted(command)}\n"
        + _reasoned(more, locale)
        + hardening(place, locale)
        + f"\n[Install]\nWantedBy=multi-user.target {TARGET}\n"
    )


def _tick(place: Place, locale: str) -> str:
    most = Both(
        "1時間で区切ります。終わらない1回が、次の回をいつまでも待たせないためです。",
        "At most an hour: one that never ends must not keep the next one waiting.",
    )
    once = {
        "KillMode=mixed": _RESTART["KillMode=mixed"],
        f"TimeoutStartSec={TICK_MOST_SECONDS}": most,
    }
    return (
        _head("Task Progress Tick (safety timer)", locale, restarts=False)
        + "\n[Service]\nType=oneshot\n"
        + _environment(place)
        + f"ExecStart={_quoted(programs.tick(place.bin_folder))}\n"
        + _reasoned(once | _stop(TICK_STOP_SECONDS), locale)
        + hardening(place, locale)
    )


def _timer(locale: str) -> str:
    when = Both(
        "起動の1分後と、5分ごと。Redis が止まっていても、決めて送ります。",
        "A minute after the start, then every 5 minutes: decides and sends without Redis, too.",
    )
    lines = f"OnBootSec=1min\nOnCalendar=*:0/{TICK_MINUTES}\nAccuracySec=10s"
    return (
        f"[Unit]\nDescription=Task Progress Tick every {TICK_MINUTES} minutes\n"
        f"PartOf={TARGET}\n\n[Timer]\n{_reasoned({lines: when}, locale)}"
        f"\n[Install]\nWantedBy=timers.target {TARGET}\n"
    )


def _target(locale: str) -> str:
    together = Both(
        "すべてをまとめて止める、再起動する: systemctl stop | restart task-progress.target",
        "Stops or restarts everything: systemctl stop | restart task-progress.target",
    )
    return (
        f"# {together.to(locale)}\n[Unit]\nDescription=Task Progress\n"
        "\n[Install]\nWantedBy=multi-user.target\n"
    )


def _head(title: str, locale: str, *, restarts: bool = True) -> str:
    wanted = list(_HEAD.items())[0 if restarts else 1 :]
    network = "After=network-online.target\nWants=network-online.target\n"
    lines = {"After=time-sync.target": _IN_STEP} | dict(wanted)
    return f"[Unit]\nDescription={title}\n{network}{_reasoned(lines, locale)}"


def _environment(place: Place) -> str:
    return (
        f"User={place.user}\n"
        f"WorkingDirectory={place.folder}\n"
        f"EnvironmentFile={place.folder}/.env\n"
        "Environment=PYTHONUNBUFFERED=1\n"
    )


def _stop(seconds: int) -> Reasoned:
    why = Both(
        "この時間までは、送信中のメールやジョブを終えるのを待ちます。",
        "Up to this long it may finish the mails or jobs on their way.",
    )
    return {f"TimeoutStopSec={seconds}": why}


def _reasoned(lines: Reasoned, locale: str) -> str:
    """Each line, or few lines, below the comment that says why."""
    return "".join(
        (f"# {why.to(locale)}\n" if why.ja else "") + f"{text}\n" for text, why in lines.items()
    )


def _quoted(command: list[str]) -> str:
    """Only `app:create_app()` needs quotes; `place` let no path in that would."""
    return " ".join(f"'{word}'" if "(" in word else word for word in command)
