"""Signed assertions in the place of a secret (RFC 7523). Needs requirements/oauth.txt.

Microsoft: "Microsoft identity platform application authentication certificate credentials"
(learn.microsoft.com, read 2026-11). Google: "Using OAuth 2.0 for Server to Server Applications"
(developers.google.com/identity/protocols/oauth2/service-account, read 2026-11).
"""

import base64
import hashlib
import json
import re
import ssl
import uuid
from datetime import date
from pathlib import Path

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
GOOD_FOR = {"certificate": 300, "service account": 3600}  # seconds; Google takes an hour at most


def of_certificate(file: Path, client_id: str, url: str, now: float) -> str:
    """What an application with a certificate says of itself. `file`: certificate and key in PEM."""
    text = file.read_text(encoding="ascii")
    der = ssl.PEM_cert_to_DER_cert(pem(text, "CERTIFICATE"))
    print_ = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    claims: dict[str, object] = {
        "aud": url,
        "iss": client_id,
        "sub": client_id,
        "jti": str(uuid.uuid4()),
    }
    claims |= _from(now, GOOD_FOR["certificate"])
    return _signed(claims, pem(text, "[A-Z ]*PRIVATE KEY"), "PS256", {"x5t#S256": print_})


def of_service_account(file: Path, user: str, scope: str, url: str, now: float) -> str:
    """What a service account says that acts for `user` (domain-wide delegation)."""
    account = json.loads(file.read_text(encoding="utf-8"))
    claims: dict[str, object] = {
        "iss": account["client_email"],
        "sub": user,
        "scope": scope,
        "aud": url,
    }
    claims |= _from(now, GOOD_FOR["service account"])
    key = {"kid": account["private_key_id"]} if account.get("private_key_id") else {}
    return _signed(claims, account["private_key"], "RS256", key)


def certificate_ends(file: Path) -> date:
    """The last day of the certificate in `file`."""
    from cryptography import x509  # noqa: PLC0415 - an extra: requirements/oauth.txt

    text = pem(file.read_text(encoding="ascii"), "CERTIFICATE")
    return x509.load_pem_x509_certificate(text.encode()).not_valid_after_utc.date()


def pem(text: str, kind: str) -> str:
    """The first block of this kind. Raises ValueError."""
    found = re.search(rf"-----BEGIN ({kind})-----.+?-----END \1-----", text, re.DOTALL)
    if found is None:
        raise ValueError("no such block")
    return found[0]


def _from(now: float, seconds: int) -> dict[str, int]:
    return {"iat": int(now), "nbf": int(now), "exp": int(now) + seconds}


def _signed(claims: dict[str, object], key: str, algorithm: str, header: dict[str, str]) -> str:
    import jwt  # noqa: PLC0415 - an extra: requirements/oauth.txt

    return jwt.encode(claims, key, algorithm=algorithm, headers=header)
