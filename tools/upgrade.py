"""`make upgrade`: another version of the program on a machine with systemd, in one command.

What can fail without need (no network, changed files) is tried before anything stops. Then all programs
stop, so that no timer meets new code with old parts, and finish the mails on their way; then come backup,
code, parts, database, units, start. When a step fails, the version before is put back and started.
All imports are at the top: the files that they come from are replaced meanwhile.
"""

import argparse
import fcntl
import os
import pwd
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from app.locale import Both, shell_locale

FOLDER = Path(__file__).resolve().parent.parent
VENV, VENV_BEFORE = FOLDER / ".venv", FOLDER / ".venv.before"
UNITS = (
    "task-progress*.timer",
    "celery-*.service",
    "task-progress-*.service",
    "task-progress.target",
)
TICK = "task-progress-tick.service"  # the timer's to start


class UpgradeError(Exception):
    """A step that failed, in one sentence."""

    def __init__(self, ja: str, en: str) -> None:
        self.sentence = Both(ja, en)
        super().__init__(en)


def say(ja: str, en: str) -> None:
    """A line of output. A terminal that is gone stops nothing."""
    with suppress(OSError):
        print(Both(ja, en).to(shell_locale(os.environ)), flush=True)


def run(user: str, *command: str, quiet: bool = False) -> str:
    """Runs a program in the folder as `user`; returns what it printed where it is `quiet`."""
    if user != pwd.getpwuid(os.geteuid()).pw_name:
        become = ["runuser", "-u", user, "--"] if os.geteuid() == 0 else ["sudo", "-u", user]
        command = (*become, "env", f"HOME={pwd.getpwnam(user).pw_dir}", *command)
    pipe = subprocess.PIPE if quiet else None
    try:
        done = subprocess.run(  # noqa: S603 - the commands below
            command, cwd=FOLDER, stdout=pipe, stderr=pipe, text=True, check=False
        )
    except OSError as error:
        raise UpgradeError(f"{command[0]}: {error}", f"{command[0]}: {error}") from None
    if done.returncode:
        shown, why = " ".join(command), (done.stderr or "").strip()
        raise UpgradeError(f"`{shown}` が失敗しました。{why}", f"`{shown}` failed. {why}".strip())
    return (done.stdout or "").strip()


@dataclass(frozen=True)
class Code:
    """The program's files in the folder, by its Git; as their owner."""

    owner: str
    is_git: bool

    def git(self, *words: str) -> str:
        """What git says."""
        return run(self.owner, "git", *words, quiet=True)

    def look(self, wanted: str | None) -> tuple[str, str]:
        """The commit that is there, and the one to come to: `wanted`, or the newest of the branch."""
        if not self.is_git:
            return "", ""
        self.git("fetch", "-q", "--tags")
        if changed := self.git("status", "--porcelain", "--untracked-files=no"):
            raise UpgradeError(
                f"プログラムのファイルが書き換えられています: {changed}",
                f"Files of the program were changed here: {changed}",
            )
        try:
            newest = self.git("rev-parse", "--verify", "-q", "@{u}^{commit}")
        except UpgradeError:  # on no branch
            newest = self.git("rev-parse", "--verify", "-q", "origin/HEAD^{commit}")
        before = self.git("rev-parse", "HEAD")
        if self.git("rev-list", "-1", "HEAD", "--not", "--remotes", "--tags"):
            raise UpgradeError(
                "このフォルダーには、ここだけのコミットがあります。",
                "This folder holds commits of its own.",
            )
        target = self.git("rev-parse", "--verify", f"{wanted}^{{commit}}") if wanted else newest
        return before, target

    def at(self, commit: str, file: str) -> str:
        """The text of a file in a commit."""
        return self.git("show", f"{commit}:{file}")

    def name(self, commit: str) -> str:
        """The commit as people call it."""
        return self.git("describe", "--tags", "--always", commit) if commit else ""


@dataclass
class Upgrade:
    """One upgrade. `user`: who the units run as. `running`: what is started again."""

    code: Code
    units: Path
    user: str
    before: str
    target: str
    watched: float  # seconds for which started programs are watched
    running: list[str] = field(default_factory=list)
    wheels: str = ""  # the folder of the new parts, fetched before anything stops
    backup: str = ""
    switched: bool = False
    replaced: dict[Path, str] = field(default_factory=dict)  # units, as they were; "": not there

    # --- the steps ------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Looks at the machine, and fetches the new parts. Changes nothing."""
        run("root", "true")  # asks for the password now, and not in the middle
        lasting = [one for one in self._installed() if one != TICK]
        self.running = [one for one in lasting if self._says("is-active", one)]
        if not self.running:  # all were stopped by hand: what starts with the machine starts
            self.running = [one for one in lasting if self._says("is-enabled", one)]
        for name in self._parts() if self.code.is_git else []:
            lock = f"requirements/{name}.txt"
            if self.code.at(self.before, lock) != self.code.at(self.target, lock):
                self._fetch(lock)

    def _fetch(self, lock: str) -> None:
        say("新しい部品をダウンロードしています…", "Fetching the new parts ...")
        self.wheels = self.wheels or run(self.code.owner, "mktemp", "-d", quiet=True)
        file, show = f"{self.wheels}/lock.txt", 'git show "$1" > "$2"'
        run(self.code.owner, "sh", "-c", show, "sh", f"{self.target}:{lock}", file)
        run(
            self.code.owner, f"{VENV}/bin/python", "-m", "pip", "download", "-q", "-r", file,
            "--disable-pip-version-check", "--require-hashes", "-d", self.wheels,
        )  # fmt: skip

    def go(self) -> None:
        """All steps in order. Raises UpgradeError at the first that fails."""
        say(
            "プログラムを止めています(送信中のメールを終えるまで待ちます)…",
            "Stopping the programs (mails on their way are finished) ...",
        )
        self._stop()
        where = "from app.config import load_or_exit as read; print(read().data_dir)"
        folder = run(self.user, "venv/bin/python", "-c", where, quiet=True)
        self.backup = f"{folder}/before-upgrade-{datetime.now().astimezone():%Y%m%d-%H%M%S}.backup"
        self._program("backup", self.backup)
        old = self._rendered()
        run(self.code.owner, "rm", "-rf", str(VENV_BEFORE))
        run(self.code.owner, "cp", "-al", str(VENV), str(VENV_BEFORE))
        self.switched = True
        if self.code.is_git:
            self.code.git("reset", "-q", "--keep", self.target)
        offline = ["PIP_NO_INDEX=1", "UV_NO_INDEX=1"] if self.wheels else []
        offline += [f"{one}_FIND_LINKS={self.wheels}" for one in ("PIP", "UV") if self.wheels]
        for name in self._parts():
            run(self.code.owner, "env", *offline, "sh", "tools/setup.sh", name)
        self._program("db", "upgrade")
        self._bring_units(old, self._rendered())
        self._start()
        if added := [file.name for file, was in self.replaced.items() if not was]:
            run("root", "systemctl", "enable", "--now", *added)

    def back(self) -> None:
        """The version before, with its parts and units, and started. Raises UpgradeError."""
        if not self.code.is_git:
            raise UpgradeError("前の版を戻せません。", "There is no version before to put back.")
        self._stop()
        for file, text in self.replaced.items():
            self._write_unit(file, text)
        if self.switched:
            self.code.git("reset", "-q", "--keep", self.before)
            run(self.code.owner, "rm", "-rf", str(VENV))
            run(self.code.owner, "mv", str(VENV_BEFORE), str(VENV))
            self._program("db", "upgrade")  # refuses where this version may not go on with it
        self._start()

    def doctor(self) -> None:
        """Looks at everything that is needed. Raises UpgradeError where something is red."""
        self._program("doctor")

    def clear(self) -> None:
        """Removes what only a way back needs."""
        run(self.code.owner, "rm", "-rf", str(VENV_BEFORE), *([self.wheels] if self.wheels else []))

    # --- parts of them --------------------------------------------------------------------------

    def _parts(self) -> list[str]:
        """Which of the requirements are installed; those of `dev` hold all others."""
        held = [one for one in ("dev", "ai", "oauth") if any(VENV.glob(f".stamp-{one}-*"))]
        return ["dev"] if "dev" in held else held or ["run"]

    def _program(self, *words: str) -> None:
        run(self.user, "venv/bin/task-progress", *words)

    def _installed(self) -> list[str]:
        return [file.name for pattern in UNITS for file in sorted(self.units.glob(pattern))]

    def _says(self, question: str, unit: str) -> bool:
        try:
            run("root", "systemctl", question, "-q", unit, quiet=True)
        except UpgradeError:
            return False
        return True

    def _stop(self) -> None:
        # Each by its name: asked for the target alone, systemctl does not wait for its parts.
        run("root", "systemctl", "stop", *self._installed())

    def _start(self) -> None:
        if self.replaced:
            run("root", "systemctl", "daemon-reload")
        run("root", "systemctl", "start", *self.running)
        until = time.monotonic() + self.watched
        while time.monotonic() < until:
            for unit in self.running:
                if not self._says("is-active", unit):
                    raise UpgradeError(
                        f"{unit} が起動しません(journalctl -u {unit} -n 50)。",
                        f"{unit} does not start (journalctl -u {unit} -n 50).",
                    )
            time.sleep(0.5)

    def _rendered(self) -> dict[str, str]:
        """The units as the program in the folder makes them, by file name."""
        shown = run(
            self.user, "venv/bin/task-progress", "systemd", "--user", self.user,
            "--dir", str(FOLDER), quiet=True,
        )  # fmt: skip
        parts = re.split(r"^# /etc/systemd/system/(\S+)\n", shown, flags=re.M)[1:]
        return dict(zip(parts[::2], parts[1::2], strict=True))

    def _bring_units(self, old: dict[str, str], new: dict[str, str]) -> None:
        """Replaces the units that changed. One that was edited here stays, and is named."""
        for name, text in new.items():
            file = self.units / name
            here, before, after = map(_settings, (_text(file), old.get(name, ""), text))
            if after in (before, here):
                continue
            if here == before:
                self._write_unit(file, text)
            elif here:  # it is not on every machine
                say(
                    f"{file} は手で直してあるので、そのままにします。新しい版では変わりました。"
                    "`task-progress systemd` の出力と見比べてください。",
                    f"{file} was edited here and stays as it is. It changed in the new version: "
                    "compare it with what `task-progress systemd` shows.",
                )

    def _write_unit(self, file: Path, text: str) -> None:
        """Writes it as root; "" removes it."""
        self.replaced.setdefault(file, _text(file))
        if not text:
            run("root", "rm", "-f", str(file))
            return
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as draft:
            draft.write(text.strip() + "\n")
            draft.flush()
            run("root", "install", "-m", "644", draft.name, str(file))


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


def _settings(unit: str) -> list[str]:
    """What a unit says, whatever the language of its comments."""
    return [line for line in unit.splitlines() if line and line[0] not in "#;"]


def user_of(units: Path) -> str:
    """Who the units run as. Raises UpgradeError where there are none, or those of another folder."""
    texts = [_text(file) for file in units.glob("*.service") if "celery-" in file.name]
    texts += [_text(file) for file in units.glob("task-progress-*.service")]
    users = {found for text in texts for found in re.findall(r"^User=(\S+)", text, re.M)}
    folders = {
        found for text in texts for found in re.findall(r"^WorkingDirectory=(.+)", text, re.M)
    }
    if len(users) == 1 and {Path(one).resolve() for one in folders} == {FOLDER}:
        return str(users.pop())
    raise UpgradeError(
        f"{units} に、このフォルダー({FOLDER})のユニットがありません。docs/systemd.ja.md を見てください。",
        f"{units} holds no units of this folder, {FOLDER}: see docs/systemd.md.",
    )


def refuse_lone(code: Code, before: str, target: str) -> None:
    """Refuses a version beside which the programs of the version before may not go on."""
    old = re.search(r'^HEAD = "(\d+)"', code.at(before, "app/schema.py"), re.M)
    new = re.search(r'^SERVES_SINCE = "(\d+)"', code.at(target, "app/schema.py"), re.M)
    if old and new and old[1] < new[1]:
        raise UpgradeError(
            "この版の間は、前の版のプログラムを動かせません。ほかのマシンのプログラムをすべて止めてから、"
            "`make upgrade ARGS=--alone` を実行してください。",
            "Programs of the version before may not run beside this one: stop them on all other "
            "machines, then run `make upgrade ARGS=--alone`.",
        )


def upgrade(one: Upgrade) -> int:
    """The steps, or the way back; says where the machine stands. Returns the exit code."""
    try:
        one.go()
    except (UpgradeError, KeyboardInterrupt) as error:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        why = (
            error.sentence
            if isinstance(error, UpgradeError)
            else Both("中断されました。", "Stopped.")
        )
        say(*why)
        return _back(one)
    one.clear()
    say(
        f"新しい版 {one.code.name(one.target)} で動いています。前のデータベースは {one.backup} です。",
        f"Version {one.code.name(one.target)} runs. The database as it was is {one.backup}.",
    )
    try:
        one.doctor()
    except UpgradeError:
        say("doctor が × とした項目を直してください。", "Mend what doctor marks with ×.")
        return 1
    return 0


def _back(one: Upgrade) -> int:
    name = one.code.name(one.before)
    try:
        one.back()
    except UpgradeError as error:
        say(
            f"プログラムは止まっています。{error.sentence.ja}直してから、もう一度 `make upgrade` を実行"
            f"してください。前のデータベース: {one.backup or 'そのままです'}",
            f"The programs are stopped. {error.sentence.en} Mend that and run `make upgrade` again. "
            f"The database as it was: {one.backup or 'untouched'}",
        )
        return 1
    one.clear()
    say(
        f"前の版 {name} に戻し、動いています。メールは失われていません。",
        f"The version before, {name}, is back and runs. No mail was lost.",
    )
    return 1


def main() -> int:
    """Exit code 0 where the new version runs and doctor is content."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", help="a tag or commit; else the newest of the branch")
    parser.add_argument("--alone", action="store_true", help="no other machine runs its programs")
    parser.add_argument("--units", type=Path, default=Path("/etc/systemd/system"))
    # One that cannot start has ended once by then, also on a slow machine.
    parser.add_argument("--watch", type=float, default=20.0, help="seconds, after the start")
    asked = parser.parse_args()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a connection that breaks stops nothing
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    code = Code(FOLDER.owner(), (FOLDER / ".git").exists())
    with (FOLDER / "Makefile").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            user = user_of(asked.units)
            before, target = code.look(asked.to)
            if before != target and not asked.alone:
                refuse_lone(code, before, target)
            one = Upgrade(code, asked.units, user, before, target, asked.watch)
            one.prepare()
        except BlockingIOError:
            say("別の make upgrade が動いています。", "Another make upgrade is running.")
            return 1
        except UpgradeError as error:
            ja, en = error.sentence
            say(f"{ja} 何も変えていません。", f"{en} Nothing was changed.")
            return 1
        return upgrade(one)


if __name__ == "__main__":
    sys.exit(main())
