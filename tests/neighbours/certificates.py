"""Certificates that only the test trusts."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from audit_log.process.tls import KeyPair

LOOPBACK: Final = x509.IPAddress(ip_address("127.0.0.1"))


def self_signed(name: x509.GeneralName, directory: Path) -> tuple[ssl.SSLContext, Path]:
    """Return what a server called *name* needs, and the file that makes a client trust it."""
    pair = key_pair_of(name, directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    return context, pair.certificate


def key_pair_of(name: x509.GeneralName, directory: Path) -> KeyPair:
    """Write a key and a certificate of *name*, signed by itself; in place of those before."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "neighbour of a test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_file, certificate_file = directory / "key.pem", directory / "certificate.pem"
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    return KeyPair(certificate_file, key_file)


def trusting(pair: KeyPair) -> ssl.SSLContext:
    """Return a client's context that trusts only *pair*."""
    return ssl.create_default_context(cafile=pair.certificate)
