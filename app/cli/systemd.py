"""`systemd`: the units for this installation."""

import re
import subprocess
from pathlib import Path

import click

from app.cli.language import LOCALE, say
from app.cli.shell import cli, option
from app.systemd import units


@cli.entry("systemd", "systemd のユニットを作る", "make the units for systemd")
@option("--user", "動かすユーザー", "the user it runs as", required=True, metavar="USER")
@option(
    "--dir",
    "プログラムのフォルダー",
    "the program's folder",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
)
@option(
    "--out",
    "書き出すフォルダー(なければ表示する)",
    "where to write them (else they are shown)",
    type=click.Path(path_type=Path),
    metavar="DIR",
)
def systemd(user: str, folder: Path, out: Path | None) -> None:
    """Shows the units, or writes them and says what to type next. Reads no settings."""
    place = units.place(user, folder)
    rendered = units.render(place, LOCALE, _version())
    if out is None:
        for name, unit in rendered.items():
            click.echo(f"# {units.SYSTEMD_FOLDER / name}\n{unit}")
        return
    # No secret in them, `systemctl cat` is open to all, and the account that copies them is another.
    if not out.exists():
        out.mkdir(parents=True)
        out.chmod(0o755)
    for name, unit in rendered.items():
        (out / name).write_text(unit, encoding="utf-8")
        (out / name).chmod(0o644)
    say(f"{len(rendered)}個のユニットを書きました。次に:", f"{len(rendered)} units written. Next:")
    for line in units.prepare_commands(place, out.absolute()):
        click.echo(f"  {line}")


def _version() -> int:
    """The version of this machine's systemd; 0 where there is none."""
    try:
        asked = subprocess.run(
            ["systemctl", "--version"],  # noqa: S607 - whichever this machine has
            capture_output=True, text=True, check=False, timeout=5,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.match(r"systemd ([0-9]{1,5})", asked.stdout)
    return int(found[1]) if found else 0
