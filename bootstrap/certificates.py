"""The private CA of one installation and the certificates of its servers.

Agents, services and leaves trust this CA and no other. A server's certificate is made anew at a start that finds less
than thirty days left on it, or other names asked for; its servers read it when they start or are told to reload.
Elliptic curve keys (P-256), because every client in every language takes them.
"""

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bootstrap.files import keep, write

LOOPBACK = ("127.0.0.1", "::1", "localhost")
CA_LIFETIME = timedelta(days=20 * 365)
SERVER_LIFETIME = timedelta(days=397)
RENEW_BEFORE = timedelta(days=30)
_CLOCKS_DIFFER = timedelta(hours=1)

Key = ec.EllipticCurvePrivateKey


class Authority:
    """The CA, kept as `ca.crt` and `ca.key` in its folder; made on first use."""

    def __init__(self, folder: Path, now: datetime) -> None:
        self.certificate_file = folder / "ca.crt"
        self._folder = folder
        self._key = _key(folder / "ca.key")
        self._certificate = x509.load_pem_x509_certificate(keep(self.certificate_file, lambda: self._own(now)))

    def server(self, name: str, hosts: Sequence[str], now: datetime) -> None:
        """Keep `<name>.crt` and `<name>.key` valid for these host names and addresses."""
        path = self._folder / f"{name}.crt"
        key = _key(self._folder / f"{name}.key")
        if path.exists():
            known = x509.load_pem_x509_certificate(path.read_bytes())
            if known.public_key() == key.public_key() and self._serves(known, hosts, now):
                return
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage(signs_certificates=False), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            (x509.SubjectAlternativeName(_names(hosts)), False),
        ]
        certificate = self._issue(_subject(name), key, SERVER_LIFETIME, extensions, now)
        write(path, _pem(certificate))

    def _serves(self, certificate: x509.Certificate, hosts: Sequence[str], now: datetime) -> bool:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return (
            certificate.issuer == self._certificate.subject
            and set(names) == set(_names(hosts))
            and certificate.not_valid_after_utc - now > RENEW_BEFORE
        )

    def _own(self, now: datetime) -> bytes:
        subject = _subject("Drover private CA")
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=True, path_length=0), True),
            (_usage(signs_certificates=True), True),
        ]
        return _pem(self._issue(subject, self._key, CA_LIFETIME, extensions, now, issuer=subject))

    def _issue(
        self,
        subject: x509.Name,
        key: Key,
        lifetime: timedelta,
        extensions: Sequence[tuple[x509.ExtensionType, bool]],
        now: datetime,
        *,
        issuer: x509.Name | None = None,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer or self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _CLOCKS_DIFFER)
            .not_valid_after(now + lifetime)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self._key, hashes.SHA256())


def _key(path: Path) -> Key:
    key = serialization.load_pem_private_key(keep(path, _new_key), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} does not hold an elliptic curve key")
    return key


def _new_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    return [_name(host) for host in hosts]


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
