"""Certificates of one's own, made for a test."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.x509.oid import NameOID

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


class Authority:
    """A certificate authority that writes what it issues into a folder, certificate and key in one file."""

    def __init__(self, folder: Path, name: str = "Test Authority") -> None:
        self.folder = folder
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._issue(self.name, self.key, (), NOW - DAY, NOW + DAY, ca=True)
        self.file = self._write("ca.pem", self.certificate)

    def issue(
        self,
        *names: str,
        file: str = "server.pem",
        begins: datetime = NOW - DAY,
        ends: datetime = NOW + DAY,
        algorithm=None,
    ) -> str:
        """A certificate for these names or addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        certificate = self._issue(subject, key, names, begins, ends, algorithm=algorithm)
        return self._write(file, certificate, key)

    def self_signed(self, *names: str) -> str:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "alone")])
        before, self.key, self.name = (self.key, self.name), key, subject
        certificate = self._issue(subject, key, names, NOW - DAY, NOW + DAY)
        self.key, self.name = before
        return self._write("alone.pem", certificate, key)

    def _issue(self, subject, key, names, begins, ends, *, ca=False, algorithm=None):
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            general = [_general_name(name) for name in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
        return builder.sign(self.key, algorithm or SHA256())

    def _write(self, file, certificate, key=None):
        path = self.folder / file
        data = certificate.public_bytes(serialization.Encoding.PEM)
        if key is not None:
            data += key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        path.write_bytes(data)
        return str(path)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def server_side(file: str, client_authority: str = "") -> ssl.SSLContext:
    """What a server shows, and whose certificate it asks clients for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    if client_authority:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_authority)
    return context


__all__ = ["DAY", "NOW", "SHA384", "Authority", "server_side"]
