"""Check of the disk of the SQLite file: a network folder breaks its locks and its shared memory."""

import os
import re
from typing import NamedTuple

from app.config.sources import relative
from app.doctor.finding import CheckContext, Finding, green, red

# The kernel's names; after "fuse." that of the program. `9p` is also a Windows disk in WSL.
NETWORK = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.beegfs", "fuse.blobfuse",
        "fuse.blobfuse2", "fuse.ceph", "fuse.ceph-fuse", "fuse.curlftpfs", "fuse.davfs",
        "fuse.gcsfuse", "fuse.glusterfs", "fuse.goofys", "fuse.juicefs", "fuse.mount-s3",
        "fuse.rclone", "fuse.s3fs", "fuse.seaweedfs", "fuse.smbnetfs", "fuse.sshfs",
        "fuse.vmhgfs-fuse", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2",
        "orangefs", "pvfs2", "smb3", "smbfs", "vboxsf",
    }
)  # fmt: skip


_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")


class Mount(NamedTuple):
    """One line of /proc/self/mountinfo: where, of which kind, and what is mounted there."""

    point: str
    kind: str
    source: str

    @property
    def is_network(self) -> bool:
        """Whether another machine keeps what lies there, or uses it as well."""
        return self.kind in NETWORK


def mount_of(path: str, mountinfo: str) -> Mount | None:
    """The mount that holds the absolute `path`, by the text of /proc/self/mountinfo.

    Of two at one point the later one lies above the other.
    """
    found: Mount | None = None
    for line in mountinfo.split("\n"):
        before, _, after = line.partition(" - ")
        places, kinds = before.split(" "), after.split(" ")
        if len(places) < 6 or len(kinds) < 2:
            continue
        mount = Mount(_decoded(places[4]), kinds[0], _decoded(kinds[1]))
        inside = f"{path}/".startswith(f"{mount.point.rstrip('/')}/")
        if inside and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def _decoded(text: str) -> str:
    r"""The kernel writes a blank as \040, in bytes."""
    return os.fsdecode(_OCTAL.sub(lambda one: bytes([int(one[1], 8)]), os.fsencode(text)))


def sqlite_disk(case: CheckContext) -> list[Finding]:
    """The file, or the folder where it is to be, must lie on a disk of this machine."""
    file = case.services.db.file
    if not case.services.db.is_sqlite or not case.mounts.exists():
        return []
    path = os.path.realpath(file)  # before the mounts are read: to look mounts what waits for it
    mount = mount_of(path, case.mounts.read_text(errors="surrogateescape"))
    if mount is None:
        return []
    place, kind = relative(file), mount.kind
    if not mount.is_network:
        return green(
            "sqlite-disk",
            f"SQLite: {place} はこのマシンのディスク({kind})にあります。",
            f"SQLite: {place} is on a disk of this machine ({kind}).",
        )
    where = os.fsencode(mount.point).decode(errors="replace")  # where it is no UTF-8
    return red(
        "sqlite-disk",
        f"SQLite: {place} はネットワーク上のフォルダー({kind}、{where})にあります。WAL が使う共有"
        "メモリーはマシンをまたげず(sqlite.org/wal.html)、ロックも効かないことがあり"
        "(sqlite.org/faq.html#q5)、データベースが壊れることがあります。",
        f"SQLite: {place} is in a network folder ({kind}, {where}). WAL needs memory that "
        "machines cannot share (sqlite.org/wal.html), and locks may not hold there "
        "(sqlite.org/faq.html#q5): the database can break.",
        "`task-progress backup FILE` で控えを取り、DATA_DIR をこのマシンのディスクにして "
        "`task-progress restore FILE` で戻してください。複数のマシンで使うときは PostgreSQL が"
        "必要です。",
        "`task-progress backup FILE`, then set DATA_DIR to a disk of this machine and "
        "`task-progress restore FILE`. For several machines it takes PostgreSQL.",
    )
