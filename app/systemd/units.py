"""The units of systemd: rendered here, shown in docs/units.md, tried by tests/test_units.py.

celery-beat, celery-worker-mail and celery-worker-ai bear the specification's names, paths and
commands. The texts stand in templates/: a comment `#ja` or `#en` is for units in that language,
and `$name` is filled in.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from app.config.sources import gather
from app.locale import Both
from app.refused import UnusableValue
from app.systemd import programs

SYSTEMD_FOLDER = Path("/etc/systemd/system")
_TEMPLATES = Path(__file__).with_name("templates")
STEPS_SINCE = 254  # the first systemd that lets the pause before a restart grow

# Seconds after TERM before systemd kills. A sender killed between the final dot and the answer
# leaves a mail in doubt, so those who send get the time of a whole job (JOB_SECONDS of
# app/queue/application.py), in which also the slowest server's last answer is in; the tests hold these numbers to those.
MAIL_STOP_SECONDS = 930
TICK_STOP_SECONDS = 720
AI_STOP_SECONDS = 150
BEAT_STOP_SECONDS = 15
WEB_STOP_SECONDS = programs.WEB_GRACE_SECONDS + 10

TARGET = "task-progress.target"
AI = "celery-worker-ai.service"  # only where there is an AI to ask


@dataclass(frozen=True)
class Place:
    """Where an installation stands: its user, its folder, and what it writes to."""

    user: str
    folder: Path
    writable: tuple[Path, ...]
    ai: bool = True  # AI_BASE_URL is set

    @property
    def bin_folder(self) -> Path:
        """The virtual environment's programs, by the specification's name for it."""
        return self.folder / "venv" / "bin"


def place(user: str, folder: Path) -> Place:
    """An installation of `user` in `folder`; its own `.env` says what it writes to, and whether it
    asks an AI.

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
    values = gather({}, folder, _NAMES, [], [])  # faulty ones are reported elsewhere
    return Place(user, folder, _writable(folder, values), ai=bool(values.get("AI_BASE_URL")))


_NAMES = frozenset({"DATA_DIR", "DATABASE_URL", "AI_BASE_URL"})


def _writable(folder: Path, values: Mapping[str, str]) -> tuple[Path, ...]:
    """DATA_DIR and the folder of an SQLite file elsewhere."""
    data_dir = folder / (values.get("DATA_DIR") or "data")
    found = re.fullmatch(r"sqlite(?:\+pysqlite)?:///(.+)", values.get("DATABASE_URL", ""))
    elsewhere = (folder / found[1]).parent if found else data_dir
    return (data_dir,) if elsewhere in {data_dir, *data_dir.parents} else (data_dir, elsewhere)


def render(place: Place, locale: str, systemd: int = 0) -> dict[str, str]:
    """File name -> text of every unit; the comments are in the language of `locale`.

    `systemd`: the version that is to read them; older ones complain about what they do not know.
    """
    hardened = hardening(place, locale)
    growing = _filled("growing.conf", locale) if systemd >= STEPS_SINCE else ""
    of = place.bin_folder

    def service(title: str, command: list[str], seconds: int, **more: str) -> str:
        return _filled(
            more.get("template", "program.service"), locale, user=place.user, folder=place.folder,
            title=title, command=_quoted(command), seconds=seconds, growing=growing,
            yielding=more.get("yielding", ""), hardening=hardened,
        )  # fmt: skip

    mail = programs.worker(of, "mail", host="%H", processes=2)
    ai = programs.worker(of, "ai", host="%H", processes=4)
    yielding = _filled("yielding.conf", locale)
    tick = "task-progress-tick.service"
    rendered = {
        "celery-beat.service": service(
            "Celery Beat Scheduler", programs.beat(of), BEAT_STOP_SECONDS
        ),
        "celery-worker-mail.service": service(
            "Celery Worker (mail queue)", mail, MAIL_STOP_SECONDS
        ),
        AI: service("Celery Worker (ai queue)", ai, AI_STOP_SECONDS, yielding=yielding),
        "task-progress-web.service": service(
            "Task Progress Web Pages",
            programs.web(of),
            WEB_STOP_SECONDS,
            yielding=_filled("mails_first.conf", locale),
        ),
        tick: service("", programs.tick(of), TICK_STOP_SECONDS, template=tick),
        **{name: _filled(name, locale) for name in ("task-progress-tick.timer", TARGET)},
    }
    return {name: unit for name, unit in rendered.items() if place.ai or name != AI}


def hardening(place: Place, locale: str) -> str:
    """What the services may not do, the same for all of them, each with its reason."""
    writable = " ".join(f"-{folder}" for folder in place.writable)
    return _filled("hardening.conf", locale, writable=writable)


def prepare_commands(place: Place, out: Path | None = None) -> list[str]:
    """What to type, in order, to put the units to work; `out`: where they were written to."""
    enabled = [TARGET, "celery-beat.service", "celery-worker-mail.service"]
    enabled += [AI] if place.ai else []
    enabled += ["task-progress-web.service", "task-progress-tick.timer"]
    files = f"{shlex.quote(str(out))}/*" if out else "*.service *.timer *.target"
    return [
        *(f"sudo install -d -m 700 -o {place.user} {folder}" for folder in place.writable),
        f"sudo chown {place.user} {place.folder}/.env && sudo chmod 600 {place.folder}/.env",
        f"cd {place.folder} && sudo -u {place.user} venv/bin/task-progress db upgrade",
        *([f"sudo cp {files} {SYSTEMD_FOLDER}/"] if out != SYSTEMD_FOLDER else []),
        "sudo systemctl daemon-reload",
        f"sudo systemctl enable --now {' '.join(enabled)}",
        f"cd {place.folder} && sudo -u {place.user} venv/bin/task-progress doctor",
    ]


def _filled(template: str, locale: str, **values: object) -> str:
    """A template's text, with the comments of one language."""
    text = Template((_TEMPLATES / template).read_text(encoding="utf-8")).substitute(values)
    shown, left_out = Both("ja", "en").first(locale)
    text = re.sub(rf"^#{left_out} .*\n", "", text, flags=re.MULTILINE)
    return re.sub(rf"^#{shown} ", "# ", text, flags=re.MULTILINE)


def _quoted(command: list[str]) -> str:
    """Only `app:create_app()` needs quotes; `place` let no path in that would."""
    return " ".join(f"'{word}'" if "(" in word else word for word in command)
