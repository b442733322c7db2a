"""Commands of systemd, as far as the pages use them: is each verb, flag and unit one there is?"""

from pathlib import Path

from app.systemd import units

UNITS = set(units.render(units.Place("taro", Path("/home/taro"), ()), "en"))
OTHERS = {"redis-server.service", "postgresql.service", "nginx.service"}
VERBS = {
    "daemon-reload", "enable", "start", "stop", "restart", "status", "kill", "edit", "list-timers", "reload",
}  # fmt: skip
TAKE_A_VALUE = {"-s", "-n", "-p", "-o", "--since", "--until", "-u"}
FLAGS = {"--now", "-f", "--no-pager", "--vacuum-size", "-b", "-r", "-e"}


def faults_of_systemctl(words: tuple[str, ...]) -> list[str]:
    """Verbs, flags and units that systemd or this program does not have."""
    faults, verb, values = [], None, iter(words)
    for word in values:
        flag = word.partition("=")[0]
        if flag in TAKE_A_VALUE:
            next(values, None)
        elif word.startswith("-"):
            faults += [word] if flag not in FLAGS else []
        elif verb is None:
            verb = word
            faults += [word] if word not in VERBS else []
        else:
            faults += [] if is_unit(word) else [word]
    return faults


def faults_of_journalctl(words: tuple[str, ...]) -> list[str]:
    """Flags that it does not have, units that nobody has."""
    faults, values = [], iter(words)
    for word in values:
        flag = word.partition("=")[0]
        if flag == "-u":
            unit = next(values, "")
            faults += [] if is_unit(unit) else [unit]
        elif flag in TAKE_A_VALUE:
            next(values, None)
        elif flag not in FLAGS:
            faults.append(word)
    return faults


def is_unit(name: str) -> bool:
    full = name if "." in name else f"{name}.service"
    return full in UNITS | OTHERS


CHECKS = {"systemctl": faults_of_systemctl, "journalctl": faults_of_journalctl}
