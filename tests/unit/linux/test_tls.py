import ssl
from pathlib import Path

import pytest

from wardian.linux import keypair, tls


def test_client_certificates_are_seen_and_none_is_refused() -> None:
    tls.self_test()


def test_the_self_test_fails_where_python_judges_certificates_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tls, "_ask_and_let_pass", lambda _: None)
    with pytest.raises((ssl.SSLError, RuntimeError)):
        tls.self_test()


def test_only_present_versions_and_the_named_suites(tmp_path: Path) -> None:
    files = tmp_path / "crt", tmp_path / "key"
    keypair.create(*files, keypair.Subject("x", server=True))
    context = tls.server_context(*files)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    suites = [suite["name"] for suite in context.get_ciphers() if suite["protocol"] != "TLSv1.3"]
    assert suites == tls.SUITES.split(":")


def test_a_key_is_private_and_each_file_whole(tmp_path: Path) -> None:
    files = tmp_path / "crt", tmp_path / "key"
    keypair.create(
        *files, keypair.Subject("x" * 100, server=True, names=("host", "10.0.0.1", "fd00::1", "ü"))
    )
    assert files[1].stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["crt", "key"]
    first = files[0].read_text()
    keypair.create(*files, keypair.Subject("x", server=True))
    assert files[0].read_text() != first


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        keypair.create(tmp_path / "no/crt", tmp_path / "no/key", keypair.Subject("x", server=False))
