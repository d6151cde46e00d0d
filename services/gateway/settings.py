"""What the gateway reads from its environment."""

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from contracts.audit import SIGNING_CONTEXT
from runtime.settings import BadSettings, ServiceSettings
from runtime.signing import Signer, decode


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    first_admin: str = "admin"
    """The name of the person that is made if there is nobody yet."""

    first_admin_password: str = ""
    """That person's password, 10 to 200 characters. Not read once there is somebody."""

    tls_certificate: Path | None = None
    """PEM with the certificate and its chain. Without it the gateway listens on loopback only."""

    tls_key: Path | None = None
    """PEM with the key of that certificate."""

    depot: Path | None = None
    """The depot's folder, on the disk of this instance. Without it, uploads and downloads are passed on."""

    depot_at: str = ""
    """Address of the gateway that has the depot's folder, such as https://10.1.0.2:8470, where this one has not."""

    depot_roots: tuple[str, ...] = ()
    """Folders of this machine, separated by commas, below which files may be registered for the depot."""

    upload_limit_bytes: int = 64 * 1024**3
    """The most that one file of the depot may have."""

    def roots(self) -> tuple[Path, ...]:
        """Raises BadSettings for one that is no folder, or so wide that it is everything."""
        for root in map(Path, self.depot_roots):
            if not root.is_absolute() or root == Path("/") or not root.is_dir():
                raise BadSettings(f"GATEWAY_DEPOT_ROOTS: {root} is no folder of this machine, or the whole of it")
        return tuple(map(Path, self.depot_roots))

    audit_seed: str
    """Base64 of the 32-byte Ed25519 seed that signs the audit trail's checkpoints. Give GATEWAY_AUDIT_SEED_FILE."""

    audit_checkpoint_s: float = 60
    """How often what was added to the audit trail is signed. `drover audit verify` wants it to be within 15 minutes."""

    audit_file: Path | None = None
    """Each checkpoint is appended here too, as a line of JSON: best a place that the database's admins cannot reach."""

    def audit_signer(self) -> Signer:
        """Raises BadSettings."""
        try:
            return Signer(decode(self.audit_seed), SIGNING_CONTEXT)
        except ValueError:
            raise BadSettings("GATEWAY_AUDIT_SEED must be base64 of 32 bytes") from None

    def tls(self) -> ssl.SSLContext | None:
        """How to listen; None is plain HTTP. Raises BadSettings where that would leave the machine."""
        if self.tls_certificate and self.tls_key:
            return _context(self.tls_certificate, self.tls_key)
        if self.tls_certificate or self.tls_key:
            raise BadSettings("GATEWAY_TLS_CERTIFICATE and GATEWAY_TLS_KEY go together; one of them is missing")
        if not _is_loopback(self.http_host):
            raise BadSettings(
                f"GATEWAY_HTTP_HOST={self.http_host} is reached from other machines and there is no certificate:"
                " set GATEWAY_TLS_CERTIFICATE and GATEWAY_TLS_KEY, or listen on 127.0.0.1"
            )
        return None


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise BadSettings(f"GATEWAY_TLS_CERTIFICATE and GATEWAY_TLS_KEY cannot be used: {error}") from None
    return context


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
