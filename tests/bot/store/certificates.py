"""A certificate authority for one test, and a store that it vouches for."""

import datetime
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.bot.store.servers import HOST, Server, debians_redis, running

TLS = "rediss://{host}:{port}?ssl_ca_certs="


class Authority:
    """Writes its certificate to `ca`, and those of servers beside it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.ca = folder / "ca.crt"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Authority of {folder.name}")])
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        usage = x509.KeyUsage(*(name in (5, 6) for name in range(9)))  # signs certificates and revocations
        certificate = (
            self._unsigned(self._name, self._key)
            .add_extension(constraints, critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, SHA256())
        )
        self.ca.write_bytes(certificate.public_bytes(Encoding.PEM))

    def certify(self, host: str) -> tuple[Path, Path]:
        """The files of a certificate for the server at the address `host`, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._unsigned(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]), key)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, SHA256())
        )
        certificate_path, key_path = self.ca.with_name(f"{host}.crt"), self.ca.with_name(f"{host}.key")
        certificate_path.write_bytes(certificate.public_bytes(Encoding.PEM))
        key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate_path, key_path

    def _unsigned(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
        )


@contextmanager
def running_behind_tls(folder: Path) -> Iterator[Server]:
    """Debian's Redis, which speaks TLS only."""
    authority = Authority(folder / "authority")
    certificate, key = authority.certify(HOST)
    options = {
        "port": "0",
        "tls_port": "{port}",
        "tls_cert_file": str(certificate),
        "tls_key_file": str(key),
        "tls_ca_cert_file": str(authority.ca),
        "tls_auth_clients": "no",
    }
    with running(debians_redis(), folder / "redis", url=TLS + str(authority.ca), **options) as server:
        yield server
