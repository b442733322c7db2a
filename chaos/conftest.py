"""Seeds, the rig of a run, and what is written down after it.

SEEDS=5 runs each row five times. CHAOS=ci runs the short set once, CHAOS=long those rows that
stand for their class in real time, CHAOS=kills and CHAOS=machines one kind of rows, anything else
all rows at a twentieth of it. KEEP=1 leaves the folders of all runs, for a look.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.config import Config
from chaos import results
from chaos.rig import Kind, Rig, Settings

SET = os.environ.get("CHAOS", "all")
SEEDS = int(os.environ.get("SEEDS", "1" if SET in {"ci", "long"} else "5"))
SCALE = 1.0 if SET == "long" else 1 / 20
_SHARED = "TASK_PROGRESS_CHAOS_FOLDER"
Make = Callable[..., Rig]


def pytest_configure(config: pytest.Config) -> None:
    """The folder of the whole session; our own settings are taken out of the environment."""
    for name in ("row(id, how): the row of the fault table", "ci: in the short set",
                 "long: also runs unscaled", "kill: a kill row", "both: on both databases",
                 "machine: about the machines around it",
                 "only(kind): this database only"):  # fmt: skip
        config.addinivalue_line("markers", name)
    if not hasattr(config, "workerinput"):
        os.environ[_SHARED] = tempfile.mkdtemp(prefix="tp-chaos-")
    for field in Config.model_fields.values():
        os.environ.pop(str(field.alias), None)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes what the session left."""
    if not hasattr(config, "workerinput") and _SHARED in os.environ and "KEEP" not in os.environ:
        shutil.rmtree(os.environ.pop(_SHARED), ignore_errors=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A run for each seed, and for each database where the row says so."""
    if "rig_of" not in metafunc.fixturenames:
        return
    marks = {mark.name: mark for mark in metafunc.definition.iter_markers()}
    runs: list[tuple[int, Kind]] = []
    for seed in range(SEEDS):
        if "only" in marks:
            runs.append((seed, marks["only"].args[0]))
        elif "both" in marks:
            runs += [(seed, "sqlite"), (seed, "postgresql")]
        else:
            runs.append((seed, "sqlite" if seed % 2 else "postgresql"))
    if "row" not in marks:
        runs = runs[:1]
    metafunc.parametrize(("seed", "kind"), runs, ids=[f"{kind}-{seed}" for seed, kind in runs])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The set that was asked for; the slow rows first, so that no processor waits at the end."""
    if SET in {"ci", "long", "kills", "machines"}:
        items[:] = [item for item in items if item.get_closest_marker(SET.removesuffix("s"))]


@pytest.fixture
def rig_of(seed: int, kind: Kind, request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes the rig of this run, with the settings given."""
    made: list[Rig] = []
    folder = Path(tempfile.mkdtemp(prefix="r", dir=os.environ[_SHARED]))

    def make(**values: Any) -> Rig:
        shared = Path(os.environ[_SHARED])
        place = folder / f"rig{len(made)}"
        rig = Rig(place, shared, kind=kind, seed=seed, scale=SCALE, settings=Settings(**values))
        made.append(rig)
        return rig

    request.node.stash[results.MADE] = made
    yield make
    for rig in made:
        rig.close()
    if "KEEP" not in os.environ:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def rig(rig_of: Make) -> Rig:
    """The rig with nothing special about it."""
    return rig_of()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """After each row the checker has the last word, whatever the row itself looked at."""
    started = time.monotonic()
    try:
        return (yield)
    except pytest.skip.Exception:
        for rig in pyfuncitem.stash.get(results.MADE, []):
            rig.skipped = True
        raise
    finally:
        if pyfuncitem.get_closest_marker("row") is not None:
            for rig in pyfuncitem.stash.get(results.MADE, []):
                facts = results.measured(pyfuncitem, rig, time.monotonic() - started)
                pyfuncitem.user_properties.append(("chaos", facts))
                faults = [] if rig.skipped else rig.faults()
                print(f"{facts['row']} {facts['how']}: {rig.verdict()}")
                if faults:
                    pytest.fail("\n".join(faults))


_collector = results.Collector()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Gathers; in a worker of xdist for nothing."""
    if report.when == "call":
        _collector.add(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Writes results and page, unless only some rows were picked, or another login than the page's."""
    config = session.config
    picked = config.option.keyword or config.option.markexpr or config.args != ["chaos"]
    picked = picked or "LOGIN" in os.environ
    if hasattr(config, "workerinput") or picked or SET == "ci" or not _collector.runs:
        return
    _collector.write(SET, SEEDS)
    results.write_page()
