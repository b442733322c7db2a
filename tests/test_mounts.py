"""`doctor` and an SQLite file that lies in a network folder, by texts as the kernel writes them."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app import clock, doctor
from app.config import load
from app.doctor import CheckContext, Level, Machine
from app.doctor.mounts import Mount, mount_of, sqlite_disk
from app.services import make
from tests.databases import sqlite_copy

# A VM with an NFS home, a folder of another machine over SSH, one of Windows, and a disk in WSL.
MOUNTINFO = r"""22 27 0:20 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
23 27 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:14 - proc proc rw
27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,discard,errors=remount-ro
30 27 0:25 / /run rw,nosuid,nodev,noexec,relatime shared:5 - tmpfs tmpfs rw,size=401260k,mode=755
41 27 0:38 / /home rw,relatime shared:21 - nfs4 files.example.jp:/export/home rw,vers=4.2,addr=192.0.2.7
52 41 8:17 / /home/taro/local rw,relatime - xfs /dev/sdb1 rw,attr2,inode64
63 27 0:49 / /mnt/far rw,nosuid,nodev,relatime shared:33 - fuse.sshfs taro@files.example.jp:/srv rw,user_id=1000
64 27 0:50 / /srv/共有\040team rw,relatime - cifs //files/share\040one rw,vers=3.1.1
65 27 0:51 / /mnt/c rw,noatime - 9p C:\134 rw,dirsync,aname=drvfs;path=C:\
66 27 8:33 / /data rw,relatime - ext4 /dev/sdc1 rw
67 66 0:52 / /data rw,relatime - nfs files:/data rw,vers=3
68 27 0:53 / /mnt/win rw,relatime - fuseblk /dev/sdd1 rw,user_id=0
69 27 0:54 / /var/lib/docker/x rw,relatime - overlay overlay rw,lowerdir=/a:/b,upperdir=/c - d
70 27 0:55 / /merged rw,relatime - fuse.mergerfs a:b rw
"""


@pytest.mark.parametrize(
    ("path", "point", "kind", "is_network"),
    [
        ("/var/lib/task-progress/db.sqlite3", "/", "ext4", False),
        ("/home/taro/app/data/db.sqlite3", "/home", "nfs4", True),
        ("/home/taro/local/db.sqlite3", "/home/taro/local", "xfs", False),
        ("/home/taro/locally/db.sqlite3", "/home", "nfs4", True),
        ("/homestead/db.sqlite3", "/", "ext4", False),
        ("/mnt/far/db.sqlite3", "/mnt/far", "fuse.sshfs", True),
        ("/mnt/far", "/mnt/far", "fuse.sshfs", True),
        ("/srv/共有 team/db.sqlite3", "/srv/共有 team", "cifs", True),
        ("/mnt/c/Users/taro/db.sqlite3", "/mnt/c", "9p", True),
        ("/data/db.sqlite3", "/data", "nfs", True),
        ("/mnt/win/db.sqlite3", "/mnt/win", "fuseblk", False),
        ("/var/lib/docker/x/db.sqlite3", "/var/lib/docker/x", "overlay", False),
        ("/merged/db.sqlite3", "/merged", "fuse.mergerfs", False),
    ],
)
def test_the_longest_and_latest_mount_holds_the_file(
    path: str, point: str, kind: str, *, is_network: bool
) -> None:
    found = mount_of(path, MOUNTINFO)
    assert found is not None
    assert (found.point, found.kind, found.is_network) == (point, kind, is_network)


def test_what_is_mounted_is_read_with_its_blanks() -> None:
    assert mount_of("/srv/共有 team", MOUNTINFO) == Mount(
        "/srv/共有 team", "cifs", "//files/share one"
    )


@pytest.mark.parametrize(
    "text", ["", "\n", "a line of nothing\n", "1 2 3 4 5 6 -\n", " - ext4 x\n"]
)
def test_a_text_that_is_none_holds_nothing(text: str) -> None:
    assert mount_of("/data/db.sqlite3", text) is None


# --- doctor -------------------------------------------------------------------------------------


@pytest.fixture
def case(tmp_path: Path) -> Iterator[CheckContext]:
    """An installation whose file lies in DATA_DIR, on a machine with the mounts of a file."""
    (tmp_path / "data").mkdir()
    sqlite_copy(tmp_path / "data" / "task-progress.sqlite3")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTINFO)
    with closing(make(load({}, tmp_path))) as services:
        yield CheckContext(tmp_path, clock.now, services, mounts=mounts)


def mount(case: CheckContext, kind: str, at: Path) -> None:
    """One more line of the kernel's: this folder is mounted."""
    escaped = str(at).replace(" ", r"\040")
    with case.mounts.open("a") as file:
        file.write(f"99 27 0:99 / {escaped} rw,relatime shared:99 - {kind} files:/x rw,vers=4.2\n")


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse.rclone"])
def test_a_file_in_a_network_folder_is_red_with_kind_reason_and_remedy(
    case: CheckContext, kind: str
) -> None:
    mount(case, kind, case.folder / "data")
    (found,) = sqlite_disk(case)
    assert found.level is Level.RED
    for said in found.says:
        for part in (f"({kind}", str(case.folder / "data"), "wal.html", "faq.html#q5"):
            assert part in said
    assert found.fix is not None
    assert all("DATA_DIR" in one and "PostgreSQL" in one for one in found.fix)


def test_a_link_leads_to_where_the_file_really_is(tmp_path: Path, case: CheckContext) -> None:
    far = tmp_path / "far away"
    (tmp_path / "data").rename(far)
    (tmp_path / "data").symlink_to(far)
    mount(case, "fuse.sshfs", far)
    assert [one.level for one in sqlite_disk(case)] == [Level.RED]


def test_a_file_that_is_not_there_yet_is_told_by_its_folder(
    tmp_path: Path, case: CheckContext
) -> None:
    (tmp_path / "data" / "task-progress.sqlite3").unlink()
    mount(case, "nfs4", tmp_path)
    assert [one.level for one in sqlite_disk(case)] == [Level.RED]


def test_a_disk_of_this_machine_is_green_and_a_server_has_no_file(
    tmp_path: Path, case: CheckContext
) -> None:
    assert [one.level for one in sqlite_disk(case)] == [Level.GREEN]
    away = load({"DATABASE_URL": "postgresql://127.0.0.1:1/none"}, tmp_path)
    with closing(make(away)) as services:
        assert sqlite_disk(CheckContext(tmp_path, clock.now, services, mounts=case.mounts)) == []


def test_the_whole_examination_has_the_line(tmp_path: Path, case: CheckContext) -> None:
    mount(case, "nfs4", tmp_path / "data")
    found = doctor.examine(Machine(tmp_path, clock.now, mounts=case.mounts), {})
    assert [one.level for one in found if one.check == "sqlite-disk"] == [Level.RED]
    real = doctor.examine(Machine(tmp_path, clock.now), {})
    assert [one.level for one in real if one.check == "sqlite-disk"] == [Level.GREEN]
