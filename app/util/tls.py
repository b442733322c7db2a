"""TLS as a client: which authorities are trusted, and the oldest version spoken."""

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

# OpenSSL's numbers (X509_V_ERR_*): self-signed, and three ways in which the issuer is unknown.
_UNKNOWN_AUTHORITY = {18, 19, 20, 21}


class Authorities(NamedTuple):
    """What a file of certificates holds: how many, and when the first authority ends."""

    number: int
    first_ends: datetime | None


def client_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Verifies against the authorities of this machine and, with `ca_file`, those of that file.

    TLS 1.2 or later (RFC 8996). Raises OSError (ssl.SSLError is one) for a file that cannot be used.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context.load_verify_locations(ca_file)
        # What stands in the file is trusted as it stands: a server's own certificate, too, and an
        # authority made by hand without the fields that Python 3.13 began to demand.
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
    return context


def authorities_in(ca_file: Path) -> Authorities:
    """What `ca_file` holds. Raises OSError where it is unreadable or no PEM file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca_file)
    ends = [ssl.cert_time_to_seconds(str(one["notAfter"])) for one in context.get_ca_certs()]
    first = datetime.fromtimestamp(min(ends), tz=UTC) if ends else None
    return Authorities(context.cert_store_stats()["x509"], first)


def is_unknown_authority(error: BaseException | None) -> bool:
    """Whether a certificate was refused only because its issuer is not trusted here."""
    number = getattr(error, "verify_code", 0)
    return isinstance(error, ssl.SSLCertVerificationError) and number in _UNKNOWN_AUTHORITY
