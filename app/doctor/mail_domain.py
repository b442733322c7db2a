"""Checks of the sender's domain: may our mail server send for it, and do receivers accept that?

SPF: RFC 7208. DKIM: RFC 6376. DMARC: RFC 7489. What the DNS says is all that is looked at; whether
a mail server really signs, only a mail that has arrived can show.
"""

import re
from collections.abc import Iterator

import dns.exception
import dns.resolver
from dns.rdtypes.ANY.TXT import TXT
from dns.resolver import Resolver

from app.doctor.finding import ANSWER_WITHIN, CheckContext, Finding, green, red, yellow
from app.mime.address import read_mailbox
from app.util import urls


class _NoAnswer(Exception):
    """The DNS could not be asked."""


def sender_domain(case: CheckContext) -> list[Finding]:
    """What the DNS says about MAIL_FROM's domain and the envelope's."""
    config = case.config
    if config.mail_from is None or urls.is_loopback(config.smtp_host):
        ja = "差出人のドメイン: メールがこのマシンから出ないため、調べません。"
        return green("sender", ja, "Sender's domain: no mail leaves this machine.")
    author = _domain_of(config.mail_from)
    envelope = _domain_of(config.mail_return_path or config.mail_from)
    try:
        names = _Names(case.resolver or dns.resolver.Resolver())
        if missing := _missing(names, author):
            return missing
        record, found_at = _dmarc_record(names, author)
        return [
            *_spf(names, envelope, config.smtp_host or ""),
            *_dkim(names, author, config.mail_dkim_selector),
            *_dmarc(author, record),
            *_alignment(author, envelope, found_at, record or ""),
        ]
    except (_NoAnswer, dns.exception.DNSException) as error:
        why = type(error.__cause__ or error).__name__
        return yellow(
            "sender",
            f"差出人のドメイン: DNS が応答しないため、調べられませんでした({why})。",
            f"Sender's domain: the DNS does not answer ({why}).",
            "cat /etc/resolv.conf; resolvectl status",
        )


def _domain_of(mailbox: str) -> str:
    found = read_mailbox("mail_from", mailbox, allow_localhost=True).address
    return found.rpartition("@")[2].lower()


class _Names:
    """The DNS, as far as we ask it."""

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver

    def has(self, name: str, *kinds: str) -> bool:
        """Whether the name has a record of one of these kinds."""
        return any(self._ask(name, kind) for kind in kinds)

    def texts(self, name: str, begins: str) -> list[str]:
        """The TXT records of `name` that begin with this word, the parts of each joined."""
        records = self._ask(name, "TXT")
        parts = [record.strings for record in records if isinstance(record, TXT)]
        joined = [b"".join(one).decode("utf-8", "replace") for one in parts]
        return [one for one in joined if re.match(rf"{begins}(\s|;|$)", one, re.IGNORECASE)]

    def _ask(self, name: str, kind: str) -> list[dns.rdata.Rdata]:
        try:
            answer = self.resolver.resolve(
                f"{name}.", kind, lifetime=ANSWER_WITHIN, raise_on_no_answer=False
            )
        except dns.resolver.NXDOMAIN:
            return []
        except dns.exception.DNSException as error:
            raise _NoAnswer from error
        return list(answer.rrset or ())


def _missing(names: _Names, domain: str) -> list[Finding]:
    if names.has(domain, "MX", "A", "AAAA"):
        return []
    return red(
        "sender",
        f"差出人のドメイン {domain} は、メールを受け取れるドメインとして DNS にありません。",
        f"The sender's domain {domain} is not in the DNS as one that takes mail.",
        "MAIL_FROM を実在するドメインのアドレスにしてください。",
        "Use an address at a real domain as MAIL_FROM.",
    )


def _spf(names: _Names, domain: str, host: str) -> list[Finding]:
    records = names.texts(domain, "v=spf1")
    line = f'{domain}. IN TXT "v=spf1 a:{host} ~all"'
    if len(records) != 1:
        many = len(records) > 1
        return red(
            "spf",
            f"SPF: {domain} に{'レコードが複数あり、無効です' if many else 'レコードがありません'}。"
            "include: が必要かどうかは、送信サービスの説明で確かめてください。",
            f"SPF: {domain} has {'more than one record, so none counts' if many else 'no record'}. "
            "See your mail provider's page for the include: it wants.",
            line,
        )
    record = records[0]
    if re.search(r"\s\+?all(\s|$)", record, re.IGNORECASE):
        return red(
            "spf",
            f"SPF: {domain} は誰にでも送信を許しています({record})。",
            f"SPF: {domain} lets anybody send ({record}).",
            f'{domain}. IN TXT "{re.sub(r"[+]?all", "~all", record)}"',
        )
    return green("spf", f"SPF: {record}", f"SPF: {record}")


def _dkim(names: _Names, domain: str, selector: str | None) -> list[Finding]:
    if selector is None:
        return yellow(
            "dkim",
            f"DKIM: セレクターが分からないため、{domain} の鍵を調べていません。",
            f"DKIM: not looked for at {domain}, as the selector is not known.",
            "届いたメールの DKIM-Signature の s= の値を .env に書いてください: "
            "MAIL_DKIM_SELECTOR=selector1",
            "Write the value of s= in a received mail's DKIM-Signature to .env: "
            "MAIL_DKIM_SELECTOR=selector1",
        )
    name = f"{selector}._domainkey.{domain}"
    records = (
        names.texts(name, "v=DKIM1") or names.texts(name, "k=rsa") or names.texts(name, "p=.*")
    )
    line = f'{name}. IN TXT "v=DKIM1; k=rsa; p=PUBLIC-KEY"'
    if not records:
        ja = f"DKIM: {name} に鍵がありません。"
        return red("dkim", ja, f"DKIM: there is no key at {name}.", line)
    if re.search(r"p=\s*(;|$)", records[0]):
        ja = f"DKIM: {name} の鍵は取り消されています。"
        return red("dkim", ja, f"DKIM: the key at {name} is revoked.", line)
    return green("dkim", f"DKIM: {name} に鍵があります。", f"DKIM: there is a key at {name}.")


def _parents(domain: str) -> Iterator[str]:
    """The domain and those above it that still have two labels."""
    labels = domain.split(".")
    for start in range(max(1, len(labels) - 1)):
        yield ".".join(labels[start:])


def _dmarc_record(names: _Names, domain: str) -> tuple[str | None, str | None]:
    """The record that holds for `domain`, and the domain at which it stands."""
    for one in _parents(domain):
        records = names.texts(f"_dmarc.{one}", "v=DMARC1")
        if len(records) == 1:
            return records[0], one
    return None, None


def _dmarc(domain: str, record: str | None) -> list[Finding]:
    line = f'_dmarc.{domain}. IN TXT "v=DMARC1; p=none; rua=mailto:postmaster@{domain}"'
    if record is None:
        return red(
            "dmarc",
            f"DMARC: {domain} にレコードがありません。Gmail などに迷惑メールと見なされやすくなります。",
            f"DMARC: {domain} has no record; Gmail and others take such mail for spam more easily.",
            line,
        )
    if not re.search(r";\s*p\s*=\s*(none|quarantine|reject)\s*(;|$)", record, re.IGNORECASE):
        return red("dmarc", f"DMARC: p= が読めません({record})。",
                   f"DMARC: p= cannot be read ({record}).", line)  # fmt: skip
    return green("dmarc", f"DMARC: {record}", f"DMARC: {record}")


def _alignment(author: str, envelope: str, found_at: str | None, record: str) -> list[Finding]:
    """SPF counts for DMARC only where both senders belong together (RFC 7489 3.1.2)."""
    strict = re.search(r";\s*aspf\s*=\s*s\s*(;|$)", record, re.IGNORECASE)
    home = found_at or author
    related = all(one == home or one.endswith(f".{home}") for one in (author, envelope))
    related = related or author.endswith(f".{envelope}") or envelope.endswith(f".{author}")
    if author == envelope or (related and not strict):
        return green(
            "alignment",
            f"差出人の一致: {author} と {envelope} は DMARC で一致します。",
            f"Alignment: {author} and {envelope} belong together for DMARC.",
        )
    return yellow(
        "alignment",
        f"差出人の一致: MAIL_FROM({author})と MAIL_RETURN_PATH({envelope})のドメインが違うため、"
        "SPF は DMARC に数えられません。DKIM が必要です。",
        f"Alignment: MAIL_FROM ({author}) and MAIL_RETURN_PATH ({envelope}) differ, so SPF does "
        "not count for DMARC; DKIM must.",
        f"MAIL_RETURN_PATH=bounce@{author}",
    )
