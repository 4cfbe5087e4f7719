import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from wardian.errors import InvalidInput
from wardian.linux import keypair
from wardian.model import certificates


@pytest.fixture
def der(tmp_path: Path) -> bytes:
    keypair.create(tmp_path / "crt", tmp_path / "key", keypair.Subject("me@here", server=False))
    return certificates.to_der((tmp_path / "crt").read_text())


def test_every_way_to_write_a_certificate_is_read(der: bytes) -> None:
    pem = certificates.to_pem(der)
    body = "".join(pem.splitlines()[1:-1])
    for text in (
        pem,
        pem.replace("\n", "\r\n"),
        pem.replace("\n", " "),
        body,
        body.rstrip("="),
        pem.strip(),
    ):
        assert certificates.to_der(text) == der
    assert certificates.fingerprint(der) == hashlib.sha256(der).hexdigest()


@given(st.binary(min_size=1, max_size=500))
def test_any_bytes_survive_the_text_form(data: bytes) -> None:
    assert certificates.to_der(certificates.to_pem(data)) == data


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----", "ä", "a" * 50000, "not base64!"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        certificates.to_der(text)


@given(st.binary(max_size=300))
def test_what_is_no_certificate_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(InvalidInput) as refused:
        certificates.facts(data)
    assert "\n" not in str(refused.value)


def test_a_certificate_says_whose_it_is_and_when_it_is_valid(der: bytes) -> None:
    facts = certificates.facts(der)
    now = datetime.now(UTC)
    assert facts.common_name == "me@here"
    assert facts.valid_at(now) and facts.valid_at(now + timedelta(days=3650))
    assert not facts.valid_at(now - timedelta(days=1))
    assert not facts.valid_at(now + timedelta(days=3653))


def signed(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x\ny")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_keys_that_can_be_guessed_are_refused(der: bytes) -> None:
    certificates.check_key(der)
    certificates.check_key(signed(rsa.generate_private_key(65537, 2048)))
    with pytest.raises(InvalidInput, match="RSA key has 1024 bits"):
        certificates.check_key(signed(rsa.generate_private_key(65537, 1024)))
    with pytest.raises(InvalidInput, match="192 bits"):
        certificates.check_key(signed(ec.generate_private_key(ec.SECP192R1())))


def test_a_name_cannot_break_a_line() -> None:
    assert certificates.facts(signed(ec.generate_private_key(ec.SECP256R1()))).common_name == "x?y"
