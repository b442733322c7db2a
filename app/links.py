"""The signed links in mails: to report, to change or stop mails, and to open the pages.

A token says for what, for whom and for which date it was made, and is signed with HMAC-SHA-256.
It holds no secret, and works as long as a key that signed it is configured.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from itsdangerous import BadData, BadSignature, Signer, TimestampSigner, URLSafeSerializer
from itsdangerous.encoding import base64_decode, base64_encode, want_bytes

from app.config import Config
from app.locale import Both
from app.refused import Code, Refused

REPORT_LINK_DAYS = 7
SIGN_IN_MINUTES = 15


class BadToken(Refused):
    """The token was not made here, or for another purpose."""

    def __init__(self) -> None:
        sentence = Both("このリンクは完全ではありません", "This link is not complete")
        super().__init__(Code.BAD_LINK, sentence)


@dataclass(frozen=True, slots=True)
class ReportLink:
    """What a `/r/` token says: whose reports it may write, and the date of the mail it came with.

    `ref` is of links mailed before there was one token a mail: they name their task themselves.
    """

    member_id: int
    local_date: date
    ref: str | None = None

    def expired(self, now: datetime) -> bool:
        """True from 7 days after the mail's date on (whole days, UTC)."""
        return now.date() > self.local_date + timedelta(days=REPORT_LINK_DAYS)


@dataclass(frozen=True, slots=True)
class StopLink:
    """What a `/u/` token says: whose mails of which kind stop. Never expires."""

    member_id: int
    kind: str


class Links:
    """Makes and reads the signed links of mails."""

    def __init__(self, config: Config) -> None:
        # The last one signs, all verify.
        keys = [
            key.get_secret_value() for key in (config.secret_key_previous, config.secret_key) if key
        ]
        self._base = config.app_base_url
        self._report = _serializer(keys, "report")
        self._stop = _serializer(keys, "stop")
        self._sign_in = _serializer(keys, "sign-in")
        self._page_keys = [hmac.digest(key.encode(), _PAGE, "sha256") for key in reversed(keys)]

    def report_url(self, link: ReportLink) -> str:
        """The address of a mail's page."""
        return f"{self._base}/r/{self.report_token(link)}"

    def report_token(self, link: ReportLink) -> str:
        """The token alone, as short as it can be: a letter holds it 140 times."""
        member_id = link.member_id.to_bytes((link.member_id.bit_length() + 7) // 8)
        said = link.local_date.toordinal().to_bytes(_DATE_BYTES) + member_id
        return base64_encode(_page_signature(self._page_keys[0], said) + said).decode()

    def page(self, path: str) -> str:
        """The address of a page that asks who is reading; `path` is "/team" or the like."""
        return f"{self._base}{path}"

    def stop_url(self, link: StopLink) -> str:
        """The address of the stop page, also for RFC 8058 one-click."""
        return f"{self._base}/u/{_dumps(self._stop, [link.member_id, link.kind])}"

    def sign_in_url(self, link_id: int) -> str:
        """The address that signs in, once; the row of the link says whom and until when."""
        return f"{self._base}/login/{_dumps(self._sign_in, [link_id])}"

    def read_sign_in(self, token: str) -> int:
        """The id behind a `/login/` token; BadToken when it was not made here for that."""
        (link_id,) = _loads(self._sign_in, token)
        return int(link_id)

    def read_report(self, token: str) -> ReportLink:
        """The link behind a `/r/` token; BadToken when it was not made here for that."""
        if "." in token:  # as mailed before there was one token a mail
            member_id, ordinal, ref = _loads(self._report, token)
            return ReportLink(member_id, date.fromordinal(ordinal), ref)
        given = _unbase64(token)
        signature, said = given[:_SIGNATURE_BYTES], given[_SIGNATURE_BYTES:]
        signed = [hmac.compare_digest(_page_signature(k, said), signature) for k in self._page_keys]
        if not any(signed):
            raise BadToken
        day, member_id = said[:_DATE_BYTES], int.from_bytes(said[_DATE_BYTES:])
        return ReportLink(member_id, date.fromordinal(int.from_bytes(day)))

    def read_stop(self, token: str) -> StopLink:
        """The link behind a `/u/` token; BadToken when it was not made here for that."""
        member_id, kind = _loads(self._stop, token)
        return StopLink(member_id, kind)


_PAGE = b"task-progress/page"  # a key of its own for each purpose: this one stops nothing
_SIGNATURE_BYTES = 16  # 128 bits, of the 256 that HMAC-SHA-256 has (RFC 2104 5 allows half)
_DATE_BYTES = 3


def _page_signature(key: bytes, said: bytes) -> bytes:
    return hmac.digest(key, said, "sha256")[:_SIGNATURE_BYTES]


def has_one_spelling(signed: str | bytes) -> bool:
    """Whether the signature at the end of a signed value is written as it was made.

    Its last character has bits that mean nothing (RFC 4648, 3.5), and what is no base64 is skipped
    by its reader: without this many texts were one token. All in front of it is signed as written.
    """
    signature = want_bytes(signed).rpartition(b".")[2]
    try:
        return base64_encode(base64_decode(signature)) == signature
    except BadData:
        return False


class OneSpelling(Signer):
    """A signer that takes a signature as it was made, and no other text for it."""

    def verify_signature(self, value: str | bytes, sig: str | bytes) -> bool:
        """Whether it was made here, and is written so."""
        return has_one_spelling(sig) and super().verify_signature(value, sig)


class OneTimedSpelling(OneSpelling, TimestampSigner):
    """The same with the time of signing: for the session's cookie."""


def _serializer(keys: list[str], purpose: str) -> URLSafeSerializer:
    # The salt binds a token to its purpose: a report link cannot stop anything.
    return URLSafeSerializer(
        keys,
        signer=OneSpelling,
        salt=f"task-progress/{purpose}",
        signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
    )


def _dumps(serializer: URLSafeSerializer, payload: list[Any]) -> str:
    return want_bytes(serializer.dumps(payload)).decode()


def _unbase64(token: str) -> bytes:
    """The bytes that are written so, and not only decode to the same ones."""
    try:
        data = base64_decode(token)
    except BadData:
        raise BadToken from None
    if base64_encode(data).decode() != token:
        raise BadToken
    return data


def _loads(serializer: URLSafeSerializer, token: str) -> Any:
    try:
        return serializer.loads(token)
    except BadSignature as error:
        raise BadToken from error
