"""A certificate authority for one lab, and a certificate for the names of its Feishu."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VALID = timedelta(days=1)


def make(directory, names):
    """Write `ca.pem` and `server.pem` (key and chain) for these host names."""
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = _named("lab authority")
    authority = _sign(_describe_authority(issuer, authority_key), authority_key)
    server = _sign(_describe_server(names, issuer, server_key, authority_key), authority_key)
    (directory / "ca.pem").write_bytes(_pem(authority))
    key = server_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (directory / "server.pem").write_bytes(key + _pem(server))


def _named(words):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, words)])


def _begin(subject, issuer, key):
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - VALID)
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _describe_authority(name, key):
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    is_authority = x509.BasicConstraints(ca=True, path_length=0)
    builder = _begin(name, name, key)
    return builder.add_extension(is_authority, critical=True).add_extension(usage, critical=True)


def _describe_server(names, issuer, key, authority_key):
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    builder = _begin(_named(names[0]), issuer, key)
    return builder.add_extension(alternatives, critical=False).add_extension(by, critical=False)


def _sign(builder, key):
    return builder.sign(key, hashes.SHA256())


def _pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)
