"""A stand-in for systemd where it is not the init: a program under the limits of a unit.

`python -m tests.confined UNIT TEMP WRITABLE… -- COMMAND…` puts on this process what the unit file
UNIT says about system calls, memory, address families, privileges and umask, makes the file
system read-only but for TEMP and WRITABLE, and becomes COMMAND. It uses what systemd uses:
libseccomp, mount namespaces, and systemd-analyze for the lists of system calls.

As root only, as mounts need it; elsewhere the file system stays as it is.
"""

import ctypes
import errno
import mmap
import os
import re
import subprocess
import sys
from ctypes import c_int, c_uint, c_uint64, c_void_p
from pathlib import Path

from tests.unit_file import Unit

_ALLOW = 0x7FFF0000
_EQUAL, _MASKED_EQUAL = 4, 7
_NEW_NAMESPACE = 0x00020000
_RECURSIVE, _READ_ONLY = 0x8000, 1
_MOUNT_SETATTR = 442
_PRIVATE, _BIND = 1 << 18, 4096
_NO_NEW_PRIVS = 38
_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}


def _refuse(code: int) -> int:
    return 0x00050000 | code


class _Argument(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (("arg", c_uint), ("op", c_int), ("mask", c_uint64), ("value", c_uint64))


class _Filter:
    """A seccomp filter; everything not named gets `usual`."""

    def __init__(self, usual: int) -> None:
        self.library = ctypes.CDLL("libseccomp.so.2")
        self.library.seccomp_init.restype = c_void_p
        self.context = c_void_p(self.library.seccomp_init(c_uint(usual)))

    def rule(self, action: int, call: str, *arguments: _Argument) -> None:
        number = self.library.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            return  # of another processor
        listed = (_Argument * len(arguments))(*arguments)
        _check(
            self.library.seccomp_rule_add_array(
                self.context, c_uint(action), c_int(number), c_uint(len(arguments)), listed
            )
        )

    def load(self) -> None:
        _check(self.library.seccomp_load(self.context))


def _check(answer: int) -> None:
    if answer < 0:
        raise OSError(-answer, os.strerror(-answer))


def _groups() -> dict[str, list[str]]:
    """The groups of system calls, each with its calls and the groups in it."""
    said = subprocess.run(
        ["systemd-analyze", "syscall-filter", "--no-pager"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    groups: dict[str, list[str]] = {}
    for line in said.splitlines():
        if line.startswith("@"):
            last = groups.setdefault(line.strip(), [])
        elif re.fullmatch(r"\s+@?[\w-]+", line) and groups:
            last.append(line.strip())
    return groups


def _calls(group: str, groups: dict[str, list[str]]) -> set[str]:
    """The system calls of a group, those of its groups included."""
    within = [_calls(one, groups) for one in groups[group] if one.startswith("@")]
    return {one for one in groups[group] if not one.startswith("@")}.union(*within)


def _deny_memory_tricks_and_families(families: list[str]) -> None:
    """MemoryDenyWriteExecute= and RestrictAddressFamilies=, by systemd's own rules."""
    deny = _Filter(_ALLOW)
    both = mmap.PROT_EXEC | mmap.PROT_WRITE
    deny.rule(_refuse(errno.EPERM), "mmap", _Argument(2, _MASKED_EQUAL, both, both))
    for call in ("mprotect", "pkey_mprotect"):
        exec_ = _Argument(2, _MASKED_EQUAL, mmap.PROT_EXEC, mmap.PROT_EXEC)
        deny.rule(_refuse(errno.EPERM), call, exec_)
    allowed = {_FAMILIES[name] for name in families}
    for family in set(range(1, 46)) - allowed:
        only = _Argument(0, _EQUAL, family, 0)
        deny.rule(_refuse(errno.EAFNOSUPPORT), "socket", only)
    deny.load()


def _allow_calls(filters: list[str]) -> None:
    names: set[str] = set()
    groups = _groups()
    for one in filters:
        calls = _calls(one.removeprefix("~"), groups)
        names = names - calls if one.startswith("~") else names | calls
    allow = _Filter(_refuse(errno.EPERM))
    for name in names:
        allow.rule(_ALLOW, name)
    allow.load()


def _read_only_but(folders: list[Path]) -> None:
    """ProtectSystem=strict with ReadWritePaths=; /dev, /proc and /sys stay as they are."""
    libc = ctypes.CDLL(None, use_errno=True)

    def done(answer: int) -> None:
        if answer < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def read_only(folder: Path, *, on: bool, deep: bool) -> None:
        wanted = (c_uint64 * 4)(_READ_ONLY if on else 0, 0 if on else _READ_ONLY, 0, 0)
        flags = c_uint(_RECURSIVE if deep else 0)
        path = str(folder).encode()
        done(libc.syscall(_MOUNT_SETATTR, c_int(-100), path, flags, wanted, ctypes.c_size_t(32)))

    done(libc.unshare(_NEW_NAMESPACE))
    done(libc.mount(None, b"/", None, ctypes.c_ulong(_PRIVATE | 16384), None))
    for folder in folders:
        path = str(folder).encode()
        done(libc.mount(path, path, None, ctypes.c_ulong(_BIND), None))
    read_only(Path("/"), on=True, deep=True)
    devices = [Path("/dev"), Path("/dev/shm")]  # noqa: S108 - no temporary file of ours
    for folder in [*folders, *(device for device in devices if device.is_mount())]:
        read_only(folder, on=False, deep=False)


def limit(file: Path, folders: list[Path]) -> None:
    """Puts the limits of the unit in `file` on this process; TEMP is the first of `folders`."""
    unit = Unit.read(file)
    calls = unit.all("SystemCallFilter")
    if os.geteuid() == 0:
        _read_only_but([folder for folder in folders if folder.exists()])
    os.environ["TMPDIR"] = str(folders[0])
    os.umask(int(unit.one("UMask"), 8))
    ctypes.CDLL(None).prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    allowed = unit.one("RestrictAddressFamilies").split()
    _deny_memory_tricks_and_families(allowed)
    _allow_calls(calls)


def main() -> None:
    """Puts on the limits, becomes the command."""
    split = sys.argv.index("--")
    folders, command = [Path(one) for one in sys.argv[2:split]], sys.argv[split + 1 :]
    limit(Path(sys.argv[1]), folders)
    os.execv(command[0], command)  # noqa: S606 - the unit's own command


if __name__ == "__main__":
    main()
