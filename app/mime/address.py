"""PURE. One mailbox, read from what people write: a name and an address fit for the wire.

`read_mailbox` is strict. It takes exactly one address, changes nothing silently, and every
refusal is an `UnusableMessage` that names the field, the masked value, the reason and the fix.
"""

import re
import unicodedata
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

from email_validator import EmailNotValidError, validate_email

from app.locale import Both
from app.refused import UnusableValue

# RFC 5321 4.5.3.1: 64 octets before the @, 256 for the whole path with its < and >.
MAX_LOCAL_PART = 64
MAX_DOMAIN = 253
MAX_ADDRESS = 254
MAX_MAILBOX = 2_000  # characters of an address with its name, each of which may be escaped

# Old phone addresses with dots that RFC 5321 does not allow; their mail servers take them quoted.
DOTTED_DOMAINS = ("docomo.ne.jp", "ezweb.ne.jp")

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_DOT_ATOM = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_LOOSE_DOTS = re.compile(rf"(?:{_ATEXT}|\.)+")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_NAME_AND_ADDRESS = re.compile(
    r'(?:(?P<quoted>"(?:[^"\\]|\\.)*")\s*|(?P<plain>[^<>"]*))<(?P<address>[^<>]*)>'
)
_NAME_SPECIALS = re.compile(r"[,;:@]")
# What a mail header must never hold: C0 and C1 controls (CR, LF, VT, FF, NEL, NUL ...), the
# Unicode line and paragraph separators, and halves of surrogate pairs. TAB is harmless.
UNPRINTABLE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class UnusableMessage(UnusableValue):
    """Input no mail can be made of; `field` names it."""

    def __init__(self, field: str, sentence: Both) -> None:
        super().__init__(*sentence)
        self.field = field


class Mailbox(NamedTuple):
    """A display name ("" if there is none) and an address as it goes on the wire, in ASCII."""

    name: str
    address: str


def masked(value: str) -> str:
    """`value` for an error: local parts cut to one letter, 60 characters, nothing unprintable."""
    hidden = re.sub(r"([^\s<@＠])[^\s<@＠]*([@＠])", r"\1***\2", value[:400])
    short = hidden if len(hidden) <= 60 else hidden[:59] + "…"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in short)


def refused(field: str, value: str, ja: str, en: str, *fix: Both | str) -> UnusableMessage:
    """The error for `field`: what was given (masked), why it cannot be used, what to do."""
    shown, todo = masked(value), Both.made(*fix)
    said = Both(f"{field}「{shown}」: {ja}{todo.ja}", f'{field} "{shown}": {en} {todo.en}')
    return UnusableMessage(field, said)


def check_line(field: str, value: str) -> str:
    """`value` unchanged. Raises UnusableMessage if it holds a line break or control character."""
    bad = UNPRINTABLE.search(value)
    if bad is None:
        return value
    code = f"U+{ord(bad[0]):04X}"
    raise refused(
        field,
        value,
        f"改行または制御文字({code})が含まれています。",
        f"It holds a line break or control {code}.",
        "1行の文字だけにしてください。",
        "Use a single line of plain characters.",
    )


def read_mailbox(field: str, value: str, *, allow_localhost: bool = False) -> Mailbox:
    """The one mailbox in `value`: "花子 <hanako@example.jp>", or an address alone.

    A domain in other letters becomes its A-label; `a..b@docomo.ne.jp` comes back quoted.
    `user@localhost` is taken only with `allow_localhost`. Raises UnusableMessage.
    """
    # Before anything is searched: some of what follows takes the square of the length.
    if len(value) > MAX_MAILBOX:
        raise _too_long(field, value, MAX_MAILBOX, Both("全体", "the whole value"))
    text = check_line(field, value).strip()
    found = _NAME_AND_ADDRESS.fullmatch(text)
    plain, address = (found["plain"] or "", found["address"]) if found else ("", text)
    # An unquoted name must not hide a second address, a group, or "Family, Given".
    if not address or _NAME_SPECIALS.search(plain):
        raise _not_one(field, value)
    name = _unquoted(found["quoted"]) if found and found["quoted"] else plain.strip()
    _refuse_wide_letters(field, address)
    local, at, domain = address.rpartition("@")
    if not at or re.search(r"[\s,;:<>()]", address) or re.search(r'@(?!.*")', local):
        raise _not_one(field, value)
    wire_domain = _read_domain(field, domain, allow_localhost=allow_localhost)
    wire = f"{_read_local(field, local, wire_domain)}@{wire_domain}"
    if len(wire) > MAX_ADDRESS:
        raise _too_long(field, value, MAX_ADDRESS, Both("アドレス全体", "the whole address"))
    return Mailbox(name, wire)


def write_mailbox(name: str, address: str) -> str:
    """`name` and `address` as one text that `read_mailbox` reads back, the name quoted safely."""
    return f"{quoted_string(name)} <{address}>" if name else address


def quoted_string(text: str) -> str:
    """`text` as a quoted-string (RFC 5322 3.2.4)."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def bare(address: str) -> str:
    """`address` without the quotes around its local part that only the wire needs (RFC 5321 4.1.2).

    So it is stored: `read_mailbox` puts back those that are needed.
    """
    local, at, domain = address.rpartition("@")
    quoted = len(local) > 2 and local[0] == local[-1] == '"'
    return f"{local[1:-1] if quoted else local}{at}{domain}"


def address_key(text: str) -> str:
    """The normal form in which two ways to write one address, or one domain, are the same text.

    Lower case, the domain as its A-label (RFC 5890), no quotes. Of what is no address, only the
    lower case. Looking up a member by address compares this.
    """
    local, at, domain = bare(text.strip().lower()).rpartition("@")
    with suppress(ValueError):
        domain = _wire_domain(domain) if len(domain) <= MAX_DOMAIN else domain
    return f"{local}{at}{domain}"


def spellings(text: str) -> tuple[str, str]:
    """In which lower-case forms this address may be stored: older versions kept quotes."""
    key = address_key(text)
    local, _, domain = key.rpartition("@")
    return key, f'"{local}"@{domain}'


def _unquoted(text: str) -> str:
    inner = text[1:-1]
    return re.sub(r"\\(.)", r"\1", inner) if "\\" in inner else inner


def _refuse_wide_letters(field: str, address: str) -> None:
    plain = unicodedata.normalize("NFKC", address)
    if plain == address:
        return
    raise refused(
        field,
        address,
        "全角などの文字が含まれています。",
        "It holds full-width or compatibility letters.",
        f"「{plain}」でよければ、そのように半角で書いてください。",
        f'If you mean "{plain}", write it like that.',
    )


def _read_local(field: str, local: str, domain: str) -> str:
    quoted = len(local) > 2 and local[0] == local[-1] == '"'
    bare = local[1:-1] if quoted else local
    if len(bare) > MAX_LOCAL_PART:
        raise _too_long(field, f"{local}@", MAX_LOCAL_PART, Both("@ の前", "the part before the @"))
    if _DOT_ATOM.fullmatch(bare):
        return bare
    if domain in DOTTED_DOMAINS and _LOOSE_DOTS.fullmatch(bare):
        return f'"{bare}"'
    raise refused(
        field,
        f"{local}@{domain}",
        "@ の前に使えない文字、または点の並びがあります。",
        "The part before the @ is not usable.",
        "半角の英数字と記号で、点は続けず、先頭と末尾以外に置いてください。",
        "Use ASCII letters, digits and signs; no dot first, last or twice in a row.",
    )


def _read_domain(field: str, domain: str, *, allow_localhost: bool) -> str:
    if allow_localhost and domain.lower() == "localhost":
        return "localhost"
    # A domain in other letters is shorter than its A-label; only what fits may enter the cache.
    if len(domain) > MAX_DOMAIN:
        raise _too_long(field, f"@{domain}", MAX_DOMAIN, Both("@ の後", "the part after the @"))
    try:
        wire = _wire_domain(domain)
    except ValueError:
        raise refused(
            field,
            f"@{domain}",
            "@ の後がドメイン名ではありません。",
            "What follows the @ is no domain name.",
            "example.jp のような正しいドメイン名を書いてください(IP アドレスは使えません)。",
            "Write a domain name such as example.jp (no IP address).",
        ) from None
    if len(wire) > MAX_DOMAIN:
        raise _too_long(field, f"@{domain}", MAX_DOMAIN, Both("@ の後", "the part after the @"))
    return wire


@lru_cache(maxsize=4096)
def _wire_domain(domain: str) -> str:
    """`domain` in ASCII, lower case. Raises ValueError where it is no domain with a dot."""
    if not domain.isascii() or "xn--" in domain.lower():
        domain = _a_label(domain)
    labels = domain.lower().split(".")
    if len(labels) < 2 or labels[-1].isdigit() or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(domain)
    return ".".join(labels)


def _a_label(domain: str) -> str:
    try:
        found = validate_email(
            f"x@{domain}",
            check_deliverability=False,
            globally_deliverable=False,
            test_environment=True,
        )
    except EmailNotValidError as error:
        raise ValueError(domain) from error
    return found.ascii_domain or domain


def _not_one(field: str, value: str) -> UnusableMessage:
    return refused(
        field,
        value,
        "ちょうど1件のメールアドレスではありません。",
        "It is not exactly one mail address.",
        'hanako@example.jp、または "名前" <hanako@example.jp> の形で書いてください。',
        'Write hanako@example.jp or "Name" <hanako@example.jp>.',
    )


def _too_long(field: str, value: str, limit: int, part: Both) -> UnusableMessage:
    return refused(
        field,
        value,
        f"{part.ja}が長すぎます。",
        f"{part.en[:1].upper()}{part.en[1:]} is too long.",
        f"{limit} 文字以内にしてください。",
        f"At most {limit} characters fit.",
    )
