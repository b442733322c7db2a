"""An empty Debian 12 with its own systemd, in namespaces of this machine: a VM without a hypervisor.

`debootstrap` fills a folder, and systemd starts there as process 1 of its own PID, mount, host name
and IPC namespaces (namespaces(7)). The network is this machine's: packages come from where this
machine's come from, and a server on loopback here is one there. Needs root.
"""

import os
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Self

RELEASE = "bookworm"
# systemd needs /proc, a named control group hierarchy, /run and /tmp of its own. The root is
# changed by pivot_root: in a chroot no unit may have PrivateUsers= (user_namespaces(7)), as Redis has.
_BOOT = """
mount --make-rprivate /
mount --bind "$0" "$0"
cd "$0"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs tmpfs sys/fs/cgroup
mkdir sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount --rbind /dev dev
hostname "$1"
pivot_root . .
umount --lazy .
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
  /lib/systemd/systemd --log-target=null
"""
_NAMESPACES = (
    "unshare",
    "--pid",
    "--fork",
    "--mount",
    "--uts",
    "--ipc",
    "--cgroup",
    "--kill-child",
)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_INCLUDE = "ca-certificates,locales,sudo,systemd-sysv"
_BOOT_SECONDS = 60.0


class Debian:
    """One such machine; use it in a `with`. `folder` must not exist yet; it is removed at the end."""

    def __init__(self, folder: Path, name: str = "vm") -> None:
        self.folder = folder
        self.name = name
        self._unshare: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._fill()
            self._boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._unshare is not None:  # its death kills process 1, and with it the namespaces
            self._unshare.send_signal(signal.SIGKILL)
            self._unshare.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _fill(self) -> None:
        """The packages of a new server, and this machine's authorities and package sources."""
        command = (
            "debootstrap",
            "--variant=minbase",
            f"--include={_INCLUDE}",
            RELEASE,
            self.folder,
        )
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (self.folder / "etc/hostname").write_text(f"{self.name}\n", encoding="utf-8")
        (self.folder / "etc/default/locale").write_text("LANG=C.UTF-8\n", encoding="utf-8")
        for file in ("etc/resolv.conf", "etc/pip.conf"):
            if Path("/", file).exists():
                shutil.copy(Path("/", file), self.folder / file)
        self.trust(*Path("/usr/local/share/ca-certificates").glob("*.crt"))

    def trust(self, *certificates: Path) -> None:
        """Puts these authorities beside those that Debian trusts."""
        for certificate in certificates:
            shutil.copy(certificate, self.folder / "usr/local/share/ca-certificates")
        subprocess.run(
            ("/usr/sbin/chroot", self.folder, "update-ca-certificates"),
            check=True, capture_output=True, env={"PATH": _PATH},
        )  # fmt: skip

    def _boot(self) -> None:
        command = (*_NAMESPACES, "sh", "-euc", _BOOT, str(self.folder), self.name)
        self._unshare = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        end = time.monotonic() + _BOOT_SECONDS
        while not self._is_up():
            if time.monotonic() > end or self._unshare.poll() is not None:
                raise TimeoutError(f"systemd does not come up in {self.folder}")
            time.sleep(0.5)

    def _is_up(self) -> bool:
        if not self._process_1():
            return False
        return self.run("systemctl is-system-running", check=False).strip() == "running"

    def _process_1(self) -> str:
        assert self._unshare is not None
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        return children.read_text(encoding="ascii").strip()

    def _entered(self) -> tuple[str, ...]:
        enter = ("nsenter", "-t", self._process_1(), "-m", "-u", "-i", "-p", "-C", "-r", "-w")
        return (*enter, "env", "-i", f"PATH={_PATH}", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb")

    def run(self, command: str, *, check: bool = True) -> str:
        """What one command of root prints. Raises CalledProcessError where it fails."""
        done = subprocess.run(
            (*self._entered(), "sh", "-c", command),
            check=check, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return done.stdout

    def shell(self, user: str) -> subprocess.Popen[bytes]:
        """A login shell of `user`, typed into through its stdin; what it says is on stdout."""
        return subprocess.Popen(
            (*self._entered(), "su", "-", user),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
        )  # fmt: skip


def missing() -> str:
    """What this machine lacks for it, as a sentence; "" where it lacks nothing."""
    if os.geteuid() != 0:
        return "root の権限が要ります / needs root"
    tools = [name for name in ("debootstrap", "unshare", "nsenter") if not shutil.which(name)]
    return f"apt install {shlex.join(tools)}" if tools else ""
