"""The sources of settings: the environment, `.env`, run.env, and the files that hold secrets.

All end as one mapping, name -> cleaned text; what a text means is decided in app/config/readers.py.
"""

import io
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from app.config import presets
from app.locale import Both, Passing, of_the_system

SECRETS = frozenset(
    {
        "SMTP_PASSWORD",
        "SMTP_OAUTH_CLIENT_SECRET",
        "SECRET_KEY",
        "SECRET_KEY_PREVIOUS",
        "AI_API_KEY",
    }
)
RUN_FILE = "run.env"
HOME = "TASK_PROGRESS_HOME"  # the variable that names another project folder than the program's own
_PACKAGE = Path(__file__).resolve().parent.parent

Faults = list[tuple[str, Both]]
Warnings = list[Both]

# An empty one would move all members' hours silently, so it is refused and not dropped.
_NEVER_EMPTY = frozenset({"APP_TIMEZONE"})
# What only makes sense together with its leader: a run.env (perhaps left behind by a killed
# `make run`) must not colour a real server, nor a half-filled .env the local mailbox.
_GROUPS = {
    "SMTP_HOST": (
        "SMTP_PORT",
        "SMTP_AUTH",
        "SMTP_USERNAME",
        "SMTP_PASSWORD",
        "SMTP_PASSWORD_FILE",
        "SMTP_SECURITY",
        "MAIL_FROM",
        "TASK_PROGRESS_MAILBOX",
    ),
    "CELERY_BROKER_URL": ("CELERY_RESULT_BACKEND",),
}


def home() -> Path:
    """The project's folder: of `.env`, and of DATA_DIR and the database where they are relative.

    The folder that holds this program, whatever folder it was started from: a worker typed
    elsewhere would find no `.env` there, and start on an empty database and another program's Redis. A
    folder that links to the program (a release beside its data) counts where it is the working
    folder.
    """
    if named := os.environ.get(HOME):
        return Path(named).absolute()
    here = Path.cwd()
    linked = (here / "app").is_dir() and (here / "app").samefile(_PACKAGE)
    return here if linked else _PACKAGE.parent


def gather(
    environ: Mapping[str, str], folder: Path, names: frozenset[str], faults: Faults, said: Warnings
) -> dict[str, str]:
    """The settings called `names` as text, from all sources; the earlier source wins.

    Faults and warnings are added to `faults` and `said`.
    """
    wanted = names | {f"{name}_FILE" for name in SECRETS}
    own = {name: _clean(name, text) for name, text in environ.items() if name in wanted}
    upper = {**_env_file(folder / ".env", wanted, faults, said), **own}
    upper |= {n: text for n, text in presets.defaults(upper).items() if n in wanted}
    data_dir = folder / (upper.get("DATA_DIR") or "data")
    lower = _env_file(data_dir / RUN_FILE, wanted, faults, said)
    for leader, group in _GROUPS.items():
        loser = lower if upper.get(leader) else upper if lower.get(leader) else {}
        for name in group:
            loser.pop(name, None)
    values = {n: text for n, text in {**lower, **upper}.items() if text or n in _NEVER_EMPTY}
    for name in sorted(SECRETS):
        _read_secret_file(name, folder, values, faults, said)
        if re.search(r"\s#", values.get(name, "")):
            said.append(
                Both(
                    f"{name}: 「 #」より後ろも値の一部として扱っています。",
                    f'{name}: what follows " #" is taken as part of the value.',
                )
            )
    return values


def relative(path: Path) -> str:
    """`path` as a message shows it: from the working folder, if it lies there."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def check_mode(path: Path, said: Warnings) -> None:
    """Add a warning if all accounts of this machine can read `path`."""
    if path.stat().st_mode & stat.S_IROTH:
        name = relative(path)
        said.append(
            Both(
                f"{name} は誰でも読めます。次を実行してください: chmod 600 '{name}'",
                f"{name} can be read by everybody. Run: chmod 600 '{name}'",
            )
        )


def _clean(name: str, text: str) -> str:
    """A secret as it stands; of anything else what stands before ` #`."""
    return text if name in SECRETS else re.sub(r"(^|\s)#.*", "", text, flags=re.DOTALL).strip()


def _env_file(
    path: Path, wanted: frozenset[str] | set[str], faults: Faults, said: Warnings
) -> dict[str, str]:
    """What the file at `path` sets; nothing if there is no such file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        faults.append((path.name, _unreadable(path, error)))
        return {}
    values: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            original = binding.original.string
            line = binding.original.line + len(original) - len(original.lstrip("\r\n"))
            no_setting = Both(
                f"{line}行目は 名前=値 の形ではありません(引用符の閉じ忘れもこうなります)。",
                f"Line {line} is not NAME=value (an unclosed quote looks like that, too).",
            )
            faults.append((path.name, no_setting))
        elif binding.key and binding.key in wanted and binding.value is not None:
            values[binding.key] = _clean(binding.key, _text_of(binding, said))
    return values


def _text_of(binding: Binding, said: Warnings) -> str:
    """The value of one line. Trap: python-dotenv cuts at ` #` even in an unquoted password."""
    name, raw = binding.key or "", binding.original.string.partition("=")[2].strip()
    if name not in SECRETS or raw.startswith(("'", '"')):
        return binding.value or ""
    if "\\" in raw:
        said.append(
            Both(
                f"{name}: systemd は値の中の \\ を別の意味に読みます。"
                f"{name}_FILE を使ってください。",
                f"{name}: systemd reads \\ in a value differently. Use {name}_FILE.",
            )
        )
    return raw


def _read_secret_file(
    name: str, folder: Path, values: dict[str, str], faults: Faults, said: Warnings
) -> None:
    """Replace NAME_FILE in `values` by NAME with the file's content, less its last newline."""
    given = values.pop(f"{name}_FILE", "")
    if not given:
        return
    if name in values:
        both = Both(
            f"{name} と {name}_FILE は、どちらか一方だけにしてください。",
            f"Set either {name} or {name}_FILE, not both.",
        )
        faults.append((f"{name}_FILE", both))
        return
    path = folder / given
    try:
        values[name] = re.sub(r"\r?\n\Z", "", path.read_text(encoding="utf-8"))
        check_mode(path, said)
    except (OSError, UnicodeDecodeError) as error:
        faults.append((f"{name}_FILE", _unreadable(path, error)))


def _unreadable(path: Path, error: OSError | UnicodeDecodeError) -> Both:
    """Why a file cannot be read; never what is in it (as a UnicodeDecodeError would show)."""
    kind, why = Both, Both("UTF-8 ではありません", "not UTF-8")
    if isinstance(error, OSError):
        kind, why = Passing, of_the_system(error)
    name = relative(path)
    return kind(
        f"{name} を読めません({why.ja})。場所、権限、文字コード(UTF-8)を確かめてください。",
        f"{name} cannot be read ({why.en}). Check its place, its permissions and that it is UTF-8.",
    )
