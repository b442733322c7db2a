"""Tokens: asked for once, renewed early, by one at a time, and seen by nobody."""

import base64
import hashlib
import json
import logging
import multiprocessing
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.channel import Fault
from app.config import ConfigError, load
from app.oauth.account import OAuthAccount, secret_ends
from app.oauth.tokens import TokenSource
from app.oauth.trouble import TokenError
from tests.http_server import serving
from tests.servers import free_port
from tests.token_endpoint import (
    CLIENT,
    SECRET,
    TokenEndpoint,
    by_certificate,
    by_secret,
    by_service_account,
)

USER = "app@example.jp"


@pytest.fixture
def endpoint() -> Iterator[TokenEndpoint]:
    with serving(TokenEndpoint(by_secret)) as server:
        yield server


def account(endpoint: TokenEndpoint, **values: Any) -> OAuthAccount:
    usual: dict[str, Any] = {"client_id": CLIENT, "client_secret": SECRET}
    scope = "https://outlook.office365.com/.default"
    return OAuthAccount(USER, endpoint.url, scope, **(usual | values))


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


def no_token(source: TokenSource, within: float = 5.0) -> TokenError:
    with pytest.raises(TokenError) as caught:
        source.token(soon(within))
    said = f"{caught.value} {caught.value!r} {caught.value.fix}"
    assert SECRET not in said
    assert "himitsu" not in said
    return caught.value


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The hour by which tokens live: it stands until a test sets it."""
    hour = [time.monotonic()]
    monkeypatch.setattr("app.oauth.tokens.monotonic", lambda: hour[0])
    return hour


# --- how often the endpoint is asked --------------------------------------------------------------


def test_a_token_is_asked_for_once_and_used_until_four_fifths_of_its_life(
    endpoint: TokenEndpoint, now: list[float]
) -> None:
    endpoint.life = 100
    source = TokenSource(account(endpoint))
    first = source.token(soon(1000))
    now[0] += 79
    assert source.token(soon(1000)) == first
    assert endpoint.asked == 1
    now[0] += 2
    assert source.token(soon(1000)) != first
    assert endpoint.asked == 2


@pytest.mark.parametrize("life", ["3600", 3600.5, None])
def test_the_length_of_a_life_is_taken_as_endpoints_write_it(
    endpoint: TokenEndpoint, life: object
) -> None:
    endpoint.life = life if life is not None else "3600"
    assert TokenSource(account(endpoint)).token(soon()) in endpoint.issued


def test_threads_that_need_one_at_once_ask_once(endpoint: TokenEndpoint) -> None:
    endpoint.takes = 0.3
    source = TokenSource(account(endpoint))
    assert len({*all_at_once(8, lambda: source.token(soon()))}) == 1
    assert endpoint.asked == 1


def all_at_once(number: int, work: Callable[[], Any]) -> list[Any]:
    found: list[Any] = []
    start = threading.Barrier(number)

    def one() -> None:
        start.wait()
        try:
            found.append(work())
        except TokenError as error:
            found.append(error)

    threads = [threading.Thread(target=one) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_threads_that_wait_for_the_same_failure_do_not_ask_again(endpoint: TokenEndpoint) -> None:
    endpoint.does, endpoint.takes = "500", 2.0
    source = TokenSource(account(endpoint))
    found = all_at_once(8, lambda: source.token(soon(30)))
    assert all(isinstance(one, TokenError) for one in found)
    assert endpoint.asked == 1
    endpoint.does, endpoint.takes = "answers", 0.0
    assert source.token(soon())


def test_while_one_renews_early_the_others_go_on_with_the_old_one(
    endpoint: TokenEndpoint, now: list[float]
) -> None:
    """The endpoint answers only when the three others have gone on."""
    endpoint.life = 100
    source = TokenSource(account(endpoint))
    first = source.token(soon(1000))
    now[0] += 85
    went_on = threading.Semaphore(0)

    def check(form: Mapping[str, str]) -> Mapping[str, str] | None:
        assert all(went_on.acquire(timeout=30) for _ in range(3))
        return by_secret(form)

    def work() -> str:
        token = source.token(soon(1000))
        went_on.release()
        return token

    endpoint.check = check
    assert all_at_once(4, work).count(first) == 3
    assert endpoint.asked == 2


def test_an_endpoint_that_is_away_at_the_early_renewal_stops_nothing(
    endpoint: TokenEndpoint, caplog: pytest.LogCaptureFixture, now: list[float]
) -> None:
    endpoint.life = 100
    source = TokenSource(account(endpoint))
    first = source.token(soon(1000))
    now[0] += 85
    endpoint.does = "500"
    assert source.token(soon(1000)) == source.token(soon(1000)) == first
    assert endpoint.asked == 2  # it is not asked at every mail
    assert "not renewed" in caplog.text
    now[0] += 16
    assert no_token(source, within=1000).fault is Fault.SERVER


def test_what_the_mail_server_refused_is_renewed_once_for_all_who_were_refused(
    endpoint: TokenEndpoint,
) -> None:
    source = TokenSource(account(endpoint))
    first = source.token(soon())
    for _ in range(3):
        source.refused(first)
        assert source.token(soon()) != first
    assert endpoint.asked == 2


def _token_of_a_process(url: str, out: "multiprocessing.Queue[str]") -> None:
    source = TokenSource(OAuthAccount(USER, url, None, CLIENT, SECRET))
    out.put(source.token(time.monotonic() + 20))


def test_two_processes_have_a_token_each_and_both_are_good(endpoint: TokenEndpoint) -> None:
    spawn = multiprocessing.get_context("spawn")
    out: multiprocessing.Queue[str] = spawn.Queue()
    both = [spawn.Process(target=_token_of_a_process, args=(endpoint.url, out)) for _ in range(2)]
    for process in both:
        process.start()
    found = {out.get(timeout=60) for _ in both}
    for process in both:
        process.join(30)
    assert len(found) == 2
    assert found == endpoint.issued


# --- an endpoint that fails -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("500", "HTTP 500"),
        ("429", "HTTP 429"),
        ("no json", "holds no token"),
        ("no token", "holds no token"),
        ("long", "too long"),
        ("hangs", "no answer in time"),
    ],
)
def test_an_endpoint_that_fails_is_the_servers_fault_and_bounded(
    endpoint: TokenEndpoint, does: str, words: str
) -> None:
    endpoint.does = does
    scale = 0.05 if does == "hangs" else 1.0
    began = time.monotonic()
    error = no_token(TokenSource(account(endpoint, time_scale=scale)), within=30)
    assert time.monotonic() - began < 8
    assert error.fault is Fault.SERVER
    assert words in error.why.en


def test_an_endpoint_that_is_away_is_the_servers_fault(endpoint: TokenEndpoint) -> None:
    away = replace(account(endpoint), url=f"http://127.0.0.1:{free_port()}/himitsu")
    error = no_token(TokenSource(away))
    assert (error.fault, "connection refused" in error.why.en) == (Fault.SERVER, True)


@pytest.mark.parametrize("life", [0, -1, "nan", "soon", [], True])
def test_a_token_without_a_life_is_none(endpoint: TokenEndpoint, life: object) -> None:
    endpoint.life = life
    assert "holds no token" in no_token(TokenSource(account(endpoint))).why.en


def test_a_wrong_secret_is_the_operators_fault_and_says_what_to_do(endpoint: TokenEndpoint) -> None:
    wrong = account(endpoint, client_secret="the-wrong-himitsu")
    error = no_token(TokenSource(wrong))
    assert error.fault is Fault.OAUTH
    assert "AADSTS7000215" in error.why.en
    assert error.fix is not None
    assert "SMTP_OAUTH_CLIENT_SECRET" in error.fix.ja


def test_an_endpoint_that_quotes_the_secret_is_not_repeated(endpoint: TokenEndpoint) -> None:
    endpoint.check = lambda form: {
        "error": "no",
        "error_description": f"not {form['client_secret']}",
    }
    assert "no not ***" in no_token(TokenSource(account(endpoint))).why.en


def test_an_endpoint_that_quotes_the_form_is_not_repeated_either(endpoint: TokenEndpoint) -> None:
    secret = "himitsu~1+2/3 4"
    endpoint.check = lambda _form: {"error": urlencode({"client_secret": secret})}
    error = no_token(TokenSource(account(endpoint, client_secret=secret)))
    assert "client_secret=***" in error.why.en


@pytest.mark.parametrize(
    "date",
    [f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT", f"Mon, 01 Jan 2026 00:00:00 +{'9' * 14}", "soon"],
)
def test_an_hour_that_is_none_says_nothing_of_the_clock(endpoint: TokenEndpoint, date: str) -> None:
    endpoint.date = date
    error = no_token(TokenSource(account(endpoint, client_secret="the-wrong-himitsu")))
    assert "AADSTS7000215" in error.why.en


# --- signed ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Any, str]:
    """The file, its public key and its thumbprint."""
    from cryptography import x509  # noqa: PLC0415 - only here

    made = trustme.CA(key_type=trustme.KeyType.RSA).issue_cert(
        "app.example.jp", not_after=datetime(2030, 5, 1, tzinfo=UTC), key_type=trustme.KeyType.RSA
    )
    file = tmp_path / "app.pem"
    made.private_key_and_cert_chain_pem.write_to_path(str(file))
    first = made.cert_chain_pems[0].bytes()
    der = ssl.PEM_cert_to_DER_cert(first.decode())
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")
    return file, x509.load_pem_x509_certificate(first).public_key(), thumbprint


def test_microsoft_verifies_what_a_certificate_signed(certificate: tuple[Path, Any, str]) -> None:
    file, public, thumbprint = certificate
    with serving(TokenEndpoint(by_secret)) as endpoint:
        endpoint.check = by_certificate(public, thumbprint, lambda: endpoint.url)
        signs = account(endpoint, client_secret=None, certificate_file=file)
        assert TokenSource(signs).token(soon()) in endpoint.issued


@pytest.mark.parametrize("ahead", [3600, -3600])
def test_a_clock_that_is_off_is_named(certificate: tuple[Path, Any, str], ahead: float) -> None:
    file, public, thumbprint = certificate
    with serving(TokenEndpoint(by_secret)) as endpoint:
        endpoint.check = by_certificate(public, thumbprint, lambda: endpoint.url, ahead)
        error = no_token(TokenSource(account(endpoint, client_secret=None, certificate_file=file)))
        assert error.fault is Fault.OAUTH
        assert error.fix is not None
        assert "timedatectl" in error.fix.en


@pytest.fixture
def service_account(tmp_path: Path, key: rsa.RSAPrivateKey) -> Callable[[str], Path]:
    def write(url: str) -> Path:
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        found = {"type": "service_account", "client_email": "sender@example.iam", "token_uri": url}
        file = tmp_path / "service.json"
        file.write_text(json.dumps({**found, "private_key": text, "private_key_id": "k1"}))
        file.chmod(0o600)
        return file

    return write


def test_google_verifies_what_a_service_account_signed(
    key: rsa.RSAPrivateKey, service_account: Callable[[str], Path]
) -> None:
    with serving(TokenEndpoint(by_secret)) as endpoint:
        endpoint.check = by_service_account(key.public_key(), USER, lambda: endpoint.url)
        file = service_account(endpoint.url)
        config = load(google(file), file.parent)
        found = OAuthAccount.from_config(config)
        assert found is not None
        assert TokenSource(found).token(soon()) in endpoint.issued
        stranger = replace(found, user="ceo@example.jp")
        error = no_token(TokenSource(stranger))
        assert error.fix is not None
        assert "https://mail.google.com/" in error.fix.en


@pytest.mark.parametrize(
    "url", ["http://mail.example.jp/token", "ftp://127.0.0.1/", "http://localhost:x@example.jp/", 7]
)
def test_a_service_account_signs_for_no_endpoint_in_the_clear(
    service_account: Callable[[str], Path], url: Any
) -> None:
    file = service_account(url)
    assert list(faults(file.parent, **google(file))) == ["SMTP_OAUTH_SERVICE_ACCOUNT_FILE"]


def test_a_key_that_cannot_sign_is_named_by_its_setting(
    endpoint: TokenEndpoint, tmp_path: Path
) -> None:
    file = tmp_path / "himitsu.pem"
    kind = "PRIVATE KEY"
    file.write_text(f"-----BEGIN {kind}-----\nhimitsu\n-----END {kind}-----\n")
    error = no_token(TokenSource(account(endpoint, client_secret=None, certificate_file=file)))
    assert "SMTP_OAUTH_CERTIFICATE_FILE" in error.why.en


# --- settings -------------------------------------------------------------------------------------

HERE = {"SMTP_HOST": "127.0.0.1", "MAIL_FROM": USER, "SMTP_AUTH": "xoauth2", "SMTP_USERNAME": USER}
MICROSOFT = {
    **HERE,
    "SMTP_OAUTH_PROVIDER": "microsoft",
    "SMTP_OAUTH_TENANT": "contoso.onmicrosoft.com",
    "SMTP_OAUTH_CLIENT_ID": CLIENT,
    "SMTP_OAUTH_CLIENT_SECRET": SECRET,
}


def google(file: Path) -> dict[str, str]:
    return {**HERE, "SMTP_OAUTH_PROVIDER": "google", "SMTP_OAUTH_SERVICE_ACCOUNT_FILE": str(file)}


def faults(tmp_path: Path, **values: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load(values, tmp_path)
    assert SECRET not in caught.value.text("ja") + caught.value.text("en")
    return {name: sentence.en for name, sentence in caught.value.faults}


def test_microsoft_is_asked_at_the_tenants_endpoint(tmp_path: Path) -> None:
    found = OAuthAccount.from_config(load(MICROSOFT, tmp_path))
    assert found is not None
    assert (
        found.url == "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token"
    )
    assert found.scope == "https://outlook.office365.com/.default"
    assert SECRET not in repr(found)


def test_everything_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    only = {"SMTP_HOST": "127.0.0.1", "MAIL_FROM": USER, "SMTP_AUTH": "xoauth2"}
    assert set(faults(tmp_path, **only)) == {"SMTP_USERNAME", "SMTP_OAUTH_PROVIDER"}
    assert set(faults(tmp_path, **HERE, SMTP_OAUTH_PROVIDER="microsoft")) == {
        "SMTP_OAUTH_TENANT",
        "SMTP_OAUTH_CLIENT_ID",
        "SMTP_OAUTH_CLIENT_SECRET",
    }
    assert set(faults(tmp_path, **HERE, SMTP_OAUTH_PROVIDER="google")) == {
        "SMTP_OAUTH_SERVICE_ACCOUNT_FILE"
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMTP_AUTH", "oauth"),
        ("SMTP_OAUTH_PROVIDER", "http://login.example/token"),
        ("SMTP_OAUTH_PROVIDER", "yahoo"),
        ("SMTP_OAUTH_TENANT", "con toso"),
        ("SMTP_OAUTH_SECRET_EXPIRES", "soon"),
        ("SMTP_OAUTH_CERTIFICATE_FILE", "none.pem"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path, name: str, value: str) -> None:
    assert name in faults(tmp_path, **{**MICROSOFT, name: value})


def test_the_secret_may_stand_in_a_file_and_a_certificate_excludes_it(
    tmp_path: Path, certificate: tuple[Path, Any, str]
) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    given = {name: v for name, v in MICROSOFT.items() if name != "SMTP_OAUTH_CLIENT_SECRET"}
    config = load({**given, "SMTP_OAUTH_CLIENT_SECRET_FILE": "secret"}, tmp_path)
    assert config.smtp_oauth_client_secret is not None
    assert config.smtp_oauth_client_secret.get_secret_value() == SECRET
    both = {**MICROSOFT, "SMTP_OAUTH_CERTIFICATE_FILE": str(certificate[0])}
    assert set(faults(tmp_path, **both)) == {"SMTP_OAUTH_CLIENT_SECRET"}


def test_the_end_of_a_secret_is_a_setting_that_of_a_certificate_stands_in_it(
    tmp_path: Path, certificate: tuple[Path, Any, str]
) -> None:
    told = load({**MICROSOFT, "SMTP_OAUTH_SECRET_EXPIRES": "2027-01-31"}, tmp_path)
    assert str(secret_ends(told)) == "2027-01-31"
    given = {name: v for name, v in MICROSOFT.items() if name != "SMTP_OAUTH_CLIENT_SECRET"}
    signs = load({**given, "SMTP_OAUTH_CERTIFICATE_FILE": str(certificate[0])}, tmp_path)
    assert str(secret_ends(signs)) == "2030-05-01"


def test_by_password_nothing_of_it_is_needed(tmp_path: Path) -> None:
    given = {**HERE, "SMTP_AUTH": "password", "SMTP_PASSWORD": "hush"}
    assert OAuthAccount.from_config(load(given, tmp_path)) is None


def test_nothing_of_it_is_logged(endpoint: TokenEndpoint, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        source = TokenSource(account(endpoint))
        source.token(soon())
        endpoint.does = "500"
        source.refused(next(iter(endpoint.issued)))
        no_token(source)
    assert "a new mail token" in caplog.text
    assert "himitsu" not in caplog.text
    assert SECRET not in caplog.text
