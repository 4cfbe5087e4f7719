import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.pki import Signer
from wardian.errors import HostFailed
from wardian.linux import keypair
from wardian.linux.authority import Authority
from wardian.model import certificates


def der_of(file: Path) -> bytes:
    return certificates.to_der(file.read_text())


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
def authority(tmp_path: Path, signer: Signer) -> Authority:
    (tmp_path / "server.ca").write_bytes(signer.pem)
    return Authority(tmp_path / "server.ca", tmp_path / "ca.crl")


def test_what_it_has_signed_is_vouched_for(tmp_path: Path, signer: Signer, authority: Authority) -> None:
    assert authority.vouches_for(der_of(signer.sign(tmp_path, "laptop")), now())


def test_what_others_have_signed_is_not(tmp_path: Path, authority: Authority) -> None:
    namesake = Signer()
    assert not authority.vouches_for(der_of(namesake.sign(tmp_path, "laptop")), now())
    keypair.create(tmp_path / "x.crt", tmp_path / "x.key", keypair.Subject("x", server=False))
    assert not authority.vouches_for(der_of(tmp_path / "x.crt"), now())
    assert not authority.vouches_for(b"nonsense", now())


def test_any_of_several_authorities_is_enough(tmp_path: Path, signer: Signer) -> None:
    other = Signer("Another")
    (tmp_path / "server.ca").write_bytes(signer.pem + other.pem)
    authority = Authority(tmp_path / "server.ca", tmp_path / "ca.crl")
    for one in (signer, other):
        assert authority.vouches_for(der_of(one.sign(tmp_path, "laptop")), now())


def test_an_authority_that_has_expired_vouches_for_nobody(
    tmp_path: Path, signer: Signer, authority: Authority
) -> None:
    der = der_of(signer.sign(tmp_path, "laptop"))
    assert not authority.vouches_for(der, now() + timedelta(days=60))


def test_what_was_taken_back_is_not_vouched_for_any_more(
    tmp_path: Path, signer: Signer, authority: Authority
) -> None:
    laptop, desk = (der_of(signer.sign(tmp_path, name)) for name in ("laptop", "desk"))
    assert authority.vouches_for(laptop, now())
    (tmp_path / "ca.crl").write_bytes(signer.take_back("laptop"))
    assert not authority.vouches_for(laptop, now())
    assert authority.vouches_for(desk, now())
    (tmp_path / "ca.crl").unlink()
    assert authority.vouches_for(laptop, now())


@pytest.mark.parametrize("how", ["broken", "by another", "empty"])
def test_a_list_that_cannot_be_trusted_keeps_all_out(
    tmp_path: Path, signer: Signer, authority: Authority, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    der = der_of(signer.sign(tmp_path, "laptop"))
    other = Signer()
    other.sign(tmp_path, "x")
    content = {"broken": b"-----BEGIN", "by another": other.take_back("x"), "empty": b""}[how]
    with caplog.at_level(logging.ERROR):
        (tmp_path / "ca.crl").write_bytes(content)
        assert not authority.vouches_for(der, now())
    assert "nobody is trusted" in caplog.text


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_an_authority_that_cannot_be_read_is_no_authority(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "server.ca").write_bytes(content)
    with pytest.raises(HostFailed, match=r"server\.ca"):
        Authority(tmp_path / "server.ca", tmp_path / "ca.crl")
