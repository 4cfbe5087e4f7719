import io
import lzma
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.model import ends

CONTENT = bytes(range(256)) * 2000 + bytes(300_000)


def zstd(content: bytes, *flags: str) -> bytes:
    if shutil.which("zstd") is None:
        pytest.skip("zstd is not installed")
    return subprocess.run(["zstd", "-qc", *flags], input=content, stdout=subprocess.PIPE, check=True).stdout


def squashfs(bytes_used: int, size: int) -> bytes:
    return (b"hsqs" + bytes(36) + bytes_used.to_bytes(8, "little")).ljust(size, b"\0")[:size]


@pytest.fixture(scope="module")
def packed() -> dict[str, bytes]:
    """Whole files by kind; several streams in one count as whole."""
    skipped = (ends.ZSTD_SKIPPED + 3).to_bytes(4, "little") + (5).to_bytes(4, "little") + b"hello"
    return {
        "xz": lzma.compress(CONTENT),
        "xz padded": lzma.compress(CONTENT) + bytes(8),
        "xz twice": lzma.compress(b"a") + lzma.compress(CONTENT),
        "zst": zstd(CONTENT),
        "zst checked": zstd(CONTENT, "--check"),
        "zst sized": zstd(CONTENT, f"--stream-size={len(CONTENT)}"),
        "zst of nothing": zstd(b""),
        "zst twice": zstd(b"a", "--no-check") + skipped + zstd(CONTENT),
        "squashfs": squashfs(4096, 4096),
        "squashfs padded": squashfs(4000, 4096),
    }


def test_what_is_whole_is_not_cut(packed: dict[str, bytes]) -> None:
    for name, content in packed.items():
        assert not ends.is_cut(io.BytesIO(content), name.split()[0]), name


@pytest.mark.parametrize("name", ["xz", "zst", "zst checked", "zst sized", "squashfs"])
def test_what_is_cut_anywhere_is_noticed(packed: dict[str, bytes], name: str) -> None:
    whole = packed[name]
    missed = [
        length
        for length in range(5, len(whole))
        if not ends.is_cut(io.BytesIO(whole[:length]), name.split()[0])
    ]
    assert missed == []


@given(content=st.binary(max_size=64), kind=st.sampled_from(["xz", "zst", "squashfs"]))
def test_any_bytes_get_an_answer(content: bytes, kind: str) -> None:
    head = {"xz": b"\xfd7zXZ", "zst": b"\x28\xb5\x2f\xfd", "squashfs": b"hsqs"}[kind]
    ends.is_cut(io.BytesIO(head + content), kind)


@pytest.mark.parametrize("kind", ["gz", "bz2", "lzma", "tar"])
def test_where_the_format_does_not_say_it_is_not_known(kind: str) -> None:
    assert not ends.is_cut(io.BytesIO(b"x"), kind)


def test_a_file_of_endless_empty_blocks_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ends, "ZSTD_STEPS", 1000)
    content = ends.ZSTD_FRAME.to_bytes(4, "little") + b"\x20\x00" + bytes(3) * 5000
    assert not ends.is_cut(io.BytesIO(content), "zst")
