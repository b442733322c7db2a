"""`make first-hour`: the README's way to a team's own installation, and an upgrade, typed as they stand.

An empty Debian 12 with systemd (rehearsal/debian.py), a new user who may use sudo, and a mail server
that wants STARTTLS and a login. Every line of the section's ```bash blocks is typed into that user's
shell, in order, and timed; a line that fails ends it. Then comes a new version, and the runbook's lines
for it. Four things are not typed as they stand, since they need a person or the internet: see `_Admin`.
Needs root, debootstrap, and some ten minutes.
"""

import argparse
import contextlib
import json
import re
import shlex
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import trustme

from rehearsal.debian import Debian, missing
from tests.smtp_server import Plan, SmtpServer
from tests.stack import PROJECT

README = (PROJECT / "README.ja.md", "## チームで使う")
UPGRADE = (PROJECT / "docs/runbook.ja.md", "## バージョンアップ")
REPOSITORY = "/srv/task-progress.bundle"
LOGIN = ("app@example.jp", "K7#first hour")
FOLDER = "/home/progress/task-progress-api"
# What `doctor` says of example.jp, which takes no mail: such names are for documents (RFC 6761).
OF_EXAMPLE = {"sender", "people"}
HOSTS = "127.0.0.1 localhost vm smtp.example.jp progress.example.jp\n"
FILES = {
    "members.csv": "email,name,role,manager\n"
    "sato.hanako@example.jp,佐藤 花子,lead,\n"
    "suzuki.ichiro@example.jp,鈴木 一郎,member,sato.hanako@example.jp\n",
    "tasks.csv": "ref,title,assignee\n"
    "A-1,見積書の作成,suzuki.ichiro@example.jp\n"
    "A-2,年末の案内,sato.hanako@example.jp\n",
}
LOOKS = 3
_BASH = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ENV = re.compile(r"^```env\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DONE = "--done--"


class FailedLine(Exception):
    """A line of the README that did not do what it says."""


def section(page: Path, heading: str) -> str:
    """The text below `heading`, up to the next one of its level."""
    _, found, rest = page.read_text(encoding="utf-8").partition(f"{heading}\n")
    if not found:
        raise ValueError(f"{page.name}: {heading} is missing")
    return rest.split("\n## ")[0]


class _Admin:
    """What a person does between the lines: fill in `.env` and two files, have a certificate."""

    def __init__(self, env: str, port: int) -> None:
        values = env.replace("587", str(port)).replace("YOUR-PASSWORD", LOGIN[1])
        self._env = dict(line.split("=", 1) for line in values.splitlines())

    def typed(self, line: str) -> str:
        """What is typed for this line of the page."""
        if line.startswith("git clone"):
            return line.replace("REPOSITORY", REPOSITORY)
        if line == "nano .env":
            return " && ".join(map(self._edit, self._env.items()))
        if found := re.match(r"venv/bin/task-progress import (members|tasks) (\S+)", line):
            return f"printf %s {shlex.quote(FILES[f'{found[1]}.csv'])} >{found[2]} && {line}"
        if line.startswith("sudo certbot"):
            return "sudo sh /srv/certificate.sh"
        return line

    def _edit(self, value: tuple[str, str]) -> str:
        key, said = value
        changed = shlex.quote(f"s|^#\\? *{key}=.*|{key}={said}|")
        return f"sed -i {changed} .env && grep -q {shlex.quote(f'^{key}=')} .env"


@contextlib.contextmanager
def mail_server(folder: Path) -> Iterator[tuple[SmtpServer, Path]]:
    """A provider's: STARTTLS, a login, a certificate of an authority that Debian is told to trust."""
    authority = trustme.CA()
    certificate = folder / "provider.crt"
    authority.cert_pem.write_to_path(str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("smtp.example.jp").configure_cert(context)
    with SmtpServer(Plan("starttls", context, login=LOGIN)) as server:
        yield server, certificate


# In place of certbot, which asks an authority on the internet: the same two lines of nginx.
_CERTIFICATE = """set -e
cd /etc/nginx
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=progress.example.jp \\
  -addext subjectAltName=DNS:progress.example.jp -keyout own.key -out own.crt 2>/dev/null
cp own.crt /usr/local/share/ca-certificates/ && update-ca-certificates >/dev/null
sed -i 's|listen 80;|listen 443 ssl; ssl_certificate own.crt; ssl_certificate_key own.key;|' \\
  sites-available/task-progress
systemctl reload nginx
"""


class Repository:
    """Where Debian clones from: a bundle of what is committed here, and of a version after it."""

    def __init__(self, debian: Debian, folder: Path) -> None:
        self._bundle = debian.folder / REPOSITORY.lstrip("/")
        self._bare = folder / "repository"
        clone = ["git", "clone", "-q", "--bare", str(PROJECT), str(self._bare)]
        subprocess.run(clone, check=True)
        self.branch = self._git("symbolic-ref", "--short", "HEAD")
        self._publish()

    @property
    def commit(self) -> str:
        """The newest version."""
        return self._git("rev-parse", "HEAD")

    def next_version(self) -> None:
        """Makes one with the same files."""
        who = ("-c", "user.name=rehearsal", "-c", "user.email=rehearsal@example.jp")
        commit = self._git(
            *who, "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "the next version"
        )
        self._git("update-ref", f"refs/heads/{self.branch}", commit)
        self._publish()

    def _publish(self) -> None:
        self._git("bundle", "create", "-q", str(self._bundle), "HEAD", self.branch)

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self._bare), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def furnish(debian: Debian, certificate: Path) -> None:
    """A user with sudo, the names of the team's servers, and what stands for certbot."""
    debian.trust(certificate)
    debian.run("useradd --create-home --shell /bin/bash --groups sudo taro")
    (debian.folder / "etc/sudoers.d/taro").write_text("taro ALL=(ALL) NOPASSWD: ALL\n")
    (debian.folder / "etc/hosts").write_text(HOSTS)
    (debian.folder / "srv/certificate.sh").write_text(_CERTIFICATE)


def type_in(shell: subprocess.Popen[bytes], line: str) -> tuple[int, str]:
    """Types a line; returns its exit code and what it printed."""
    assert shell.stdin is not None
    assert shell.stdout is not None
    shell.stdin.write(f"{line}\necho {_DONE} $?\n".encode())
    said: list[str] = []
    while heard := shell.stdout.readline().decode(errors="replace"):
        if heard.startswith(_DONE):
            return int(heard.split()[1]), "".join(said)
        said.append(heard)
    raise FailedLine(f"{line}\n{''.join(said)}")


def lines(text: str) -> list[str]:
    """The commands of the ```bash blocks; one that goes on after a backslash is one."""
    blocks = "".join(_BASH.findall(text)).replace("\\\n", " ")
    return [line for line in blocks.splitlines() if line.strip()]


class Story:
    """The hour: one shell, lines typed into it, and the seconds since the first."""

    def __init__(self, debian: Debian, admin: _Admin) -> None:
        self._debian = debian
        self._admin = admin
        self._shell = debian.shell("taro")
        self._began = time.monotonic()

    def note(self, text: str) -> None:
        """A line of the protocol."""
        print(f"{time.monotonic() - self._began:6.0f} s  {text}", flush=True)

    def type(self, text: str) -> None:
        """Types the commands of a page. Whether `doctor` may be red is for `check` to say."""
        for line in lines(text):
            at = time.monotonic()
            code, said = type_in(self._shell, self._admin.typed(line))
            self.note(f"{time.monotonic() - at:6.1f}  {line}")
            if code and " doctor " not in line and "make upgrade" not in line:
                raise FailedLine(f"{line}: {code}\n{said}")

    def check(self, commit: str) -> None:
        """That version is there, its units run, and `doctor` is red of names of documents only."""
        if self._program("git rev-parse HEAD").strip() != commit:
            raise FailedLine(f"{commit} is not there")
        units = "systemctl --no-legend --plain list-units 'task-progress*' 'celery*'"
        for line in self._debian.run(units).splitlines():
            self.note(line)
        for _ in range(LOOKS):  # programs that have just started answer late on a slow machine
            findings = json.loads(self._program("venv/bin/task-progress doctor --json"))
            red = [one for one in findings if one["level"] == "red"]
            red = [one for one in red if one["check"] not in OF_EXAMPLE]
            if not red:
                return
        raise FailedLine(f"doctor: {red}")

    def _program(self, command: str) -> str:
        return self._debian.run(f"cd {FOLDER} && sudo -u progress {command}", check=False)


def play(folder: Path) -> None:
    """From an empty machine to an accepted mail, and on to the next version."""
    readme = section(*README)
    with mail_server(folder) as (server, certificate), Debian(folder / "debian") as debian:
        furnish(debian, certificate)
        repository = Repository(debian, folder)
        story = Story(debian, _Admin("".join(_ENV.findall(readme)), server.port))
        story.type(readme)
        if not server.mails:
            raise FailedLine("no mail was accepted")
        story.note(f"mails accepted: {len(server.mails)}")
        story.check(repository.commit)
        repository.next_version()
        story.type(section(*UPGRADE))
        story.check(repository.commit)


def main() -> None:
    """Plays it; exits 1 where a line fails."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    if lacks := missing():
        sys.exit(lacks)
    with tempfile.TemporaryDirectory(prefix="first-hour-") as folder:
        try:
            play(Path(folder))
        except FailedLine as failed:
            sys.exit(str(failed))


if __name__ == "__main__":
    main()
