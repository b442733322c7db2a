"""A Redis as a careful operator runs it: TLS alone, a certificate of a private CA, our ACL file."""

import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import redis
import trustme

from tests.servers import RedisServer

ACL = Path(__file__).resolve().parent.parent / "deploy" / "redis.acl"
WORD = "a-made-up-word:#@/%"  # as hard to write in a URL as a password may be


def can_be() -> bool:
    """Whether this machine has a Redis that speaks TLS: the wheel's does not."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        return False
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    return "libssl" in linked.stdout


class SafeRedis(RedisServer):
    """`url` is the program's, with the rights of deploy/redis.acl; `admin_url` may do everything."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ca_file = folder / "ca.pem"
        key, chain, acl = folder / "key.pem", folder / "chain.pem", folder / "redis.acl"
        ca = trustme.CA()
        certificate = ca.issue_cert("127.0.0.1")
        ca.cert_pem.write_to_path(str(self.ca_file))
        certificate.private_key_pem.write_to_path(str(key))
        chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        program = ACL.read_text().replace("task-progress on", f"task-progress on >{WORD}", 1)
        acl.write_text(f"{program}user rig on >{WORD} ~* &* +@all\n")
        super().__init__(
            folder, "--port", "0", "--tls-port", "0", "--tls-auth-clients", "no",
            "--tls-cert-file", str(chain), "--tls-key-file", str(key),
            "--tls-ca-cert-file", str(self.ca_file), "--aclfile", str(acl),
        )  # fmt: skip
        self.options = (*self.options, "--tls-port", str(self.port))

    @property
    def url(self) -> str:
        return self._url("task-progress")

    @property
    def admin_url(self) -> str:
        return self._url("rig")

    def _url(self, user: str) -> str:
        server = f"rediss://{user}:{quote(WORD, safe='')}@127.0.0.1:{self.port}/0"
        return f"{server}?ssl_ca_certs={self.ca_file}"

    def answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.admin_url, socket_timeout=0.5, retry=None) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def refused(self) -> list[str]:
        """The commands, keys and channels that the program asked for and may not have."""
        with redis.Redis.from_url(self.admin_url, decode_responses=True) as client:
            return [f"{one['reason']} {one['object']}" for one in client.acl_log()]
