"""Time zone data: of the system's and the package's the newer; hours follow when they change."""

import importlib
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from app import doctor, reminders
from app.doctor.machine import newer_time_zones
from app.models import Member, Setting
from app.reminders.plan import ZONES
from app.services import Services
from app.util import zones
from tests.conftest import NOW, People

tzdata = importlib.import_module("tzdata")  # it has no types
PACKAGE = Path(str(tzdata.__file__)).parent / "zoneinfo"
TOKYO = "print(datetime(2026, 12, 1, tzinfo=ZoneInfo('Asia/Tokyo')).utcoffset())"
NEW_YORKS, ITS_OWN = "-1 day, 19:00:00", "9:00:00"


def system(folder: Path, version: str | None) -> Path:
    """A system's data, in which Tokyo has New York's clock."""
    for name, source in (("UTC", "UTC"), ("Asia/Tokyo", "America/New_York"), ("Only/Here", "UTC")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACKAGE / source, folder / name)
    if version is not None:
        (folder / "tzdata.zi").write_text(f"# version {version}\n# more\n", encoding="ascii")
    return folder


def printed(code: str, path: Path | str, *, package: bool = True) -> str:
    """What a program of ours prints whose system has its zones at `path`."""
    lines = [
        "import sys",
        "import app",
        "from datetime import datetime",
        "from app.util import zones",
    ]
    lines += ["from zoneinfo import ZoneInfo", code]
    if not package:
        lines.insert(1, "sys.modules['tzdata'] = None")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        env={"PATH": os.environ["PATH"], "PYTHONTZPATH": str(path)},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.parametrize("version", ["2025b", None])
def test_a_systems_older_data_do_not_win_over_the_package(
    tmp_path: Path, version: str | None
) -> None:
    assert printed(TOKYO, system(tmp_path, version)) == ITS_OWN
    used = printed("print(zones.version(), zones.is_package())", tmp_path)
    assert used == f"{tzdata.IANA_VERSION} True"


@pytest.mark.slow
def test_a_name_that_only_the_system_has_stays_known(tmp_path: Path) -> None:
    code = "print(ZoneInfo('Only/Here').utcoffset(datetime(2026, 12, 1)))"
    assert printed(code, system(tmp_path, "2025b")) == "0:00:00"


@pytest.mark.slow
def test_a_systems_newer_data_win(tmp_path: Path) -> None:
    assert printed(TOKYO, system(tmp_path, "2999a")) == NEW_YORKS
    used = printed("print(zones.version(), zones.is_package())", tmp_path)
    assert used == "2999a False"


@pytest.mark.slow
def test_either_is_enough(tmp_path: Path) -> None:
    assert printed(TOKYO, "") == ITS_OWN
    assert printed(TOKYO, system(tmp_path, "2025b"), package=False) == NEW_YORKS


@pytest.mark.parametrize(
    ("zone", "offset"),
    [("Africa/Casablanca", 0), ("America/Vancouver", -7), ("America/Winnipeg", -5)],
)
def test_the_laws_of_2026_hold_on_this_machine(zone: str, offset: int) -> None:
    """They are in 2026f and not in 2025b, which Debian 12 has."""
    code = f"print(datetime(2027, 1, 15, tzinfo=ZoneInfo('{zone}')).utcoffset())"
    assert printed(code, "/usr/share/zoneinfo") == str(timedelta(hours=offset))


def hours(services: Services) -> set[object]:
    with services.db.read() as session:
        return set(session.scalars(select(Member.next_due_at)))


def known(services: Services) -> str:
    with services.db.read() as session:
        return str(session.get_one(Setting, ZONES).value)


def test_hours_are_computed_anew_when_newer_data_come(services: Services, team: People) -> None:
    reminders.plan(services, NOW)
    assert known(services) == zones.version()
    right = hours(services)
    wrong = NOW + timedelta(days=1, hours=1)
    for version, expected in ((zones.version(), {wrong}), ("2025b", right)):
        with services.db.write() as session:
            session.execute(update(Member).values(next_due_at=wrong))
            session.get_one(Setting, ZONES).value = version
        reminders.plan(services, NOW)
        assert hours(services) == expected
    assert known(services) == zones.version()


def test_a_program_with_older_data_takes_no_turns_with_a_newer_one(
    services: Services, team: People
) -> None:
    reminders.plan(services, NOW)
    with services.db.write() as session:
        session.get_one(Setting, ZONES).value = "2999a"
        session.execute(update(Member).values(next_due_at=NOW + timedelta(days=1)))
    reminders.plan(services, NOW)
    assert hours(services) == {NOW + timedelta(days=1)}
    assert known(services) == "2999a"


def test_doctor_names_the_machine_with_older_data(
    services: Services, team: People, tmp_path: Path
) -> None:
    case = doctor.CheckContext(tmp_path, lambda: NOW, services)
    assert newer_time_zones(case) == []
    reminders.plan(services, NOW)
    assert newer_time_zones(case) == []
    with services.db.write() as session:
        session.get_one(Setting, ZONES).value = "2999a"
    (found,) = newer_time_zones(case)
    assert found.level is doctor.Level.YELLOW
    for said in found.says:
        assert "2999a" in said
        assert zones.version() in said
