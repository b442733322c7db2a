"""MAIL_ONLY_TO: the pilot's addresses and domains. Mails to all others end suppressed."""

from functools import lru_cache

from app.mime.address import address_key


def in_pilot(only_to: tuple[str, ...], address: str) -> bool:
    """True when MAIL_ONLY_TO (addresses or domains) is empty or names the address."""
    if not only_to:
        return True
    allowed, key = _allowed(only_to), address_key(address)
    return key in allowed or key.rpartition("@")[2] in allowed


@lru_cache(maxsize=4)
def _allowed(only_to: tuple[str, ...]) -> frozenset[str]:
    return frozenset(address_key(entry.lstrip("@")) for entry in only_to)
