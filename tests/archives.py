"""Tar archives as nobody should make them: a corpus that every reader of archives meets."""

import io
import tarfile
from pathlib import Path

Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> Member:
    """A member of this kind."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(content)
    info.mode = 0o755
    return info, content


def folder(name: str) -> Member:
    return member(name, kind=tarfile.DIRTYPE)


def symlink(name: str, target: str) -> Member:
    return member(name, kind=tarfile.SYMTYPE, link=target)


def hardlink(name: str, target: str) -> Member:
    return member(name, kind=tarfile.LNKTYPE, link=target)


def device(name: str, kind: bytes, major: int, minor: int) -> Member:
    info, content = member(name, kind=kind)
    info.devmajor, info.devminor = major, minor
    return info, content


def archive(path: Path, members: list[Member], *, cut: int = 0) -> Path:
    """Write a gzipped tar archive; cut: without so many of its last bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    whole = buffer.getvalue()
    path.write_bytes(whole[: len(whole) - cut] if cut else whole)
    return path


def escapes(top: str, outside: Path) -> dict[str, list[Member]]:
    """Members that try to write to the file `outside`, whose tree is below `top` (`` or `x/y/`)."""
    target = str(outside)
    up = "../" * 12 + target.lstrip("/")
    return {
        "symlink-rootfs": [symlink(f"{top}rootfs", str(outside.parent))],
        "symlink-templates": [folder(f"{top}rootfs"), symlink(f"{top}templates", "/etc")],
        "symlink-metadata": [folder(f"{top}rootfs"), symlink(f"{top}metadata.yaml", "/etc/passwd")],
        "link-then-file": [
            folder(f"{top}rootfs"),
            symlink(f"{top}rootfs/x", target),
            member(f"{top}rootfs/x", b"evil"),
        ],
        "link-then-below": [
            folder(f"{top}rootfs"),
            symlink(f"{top}rootfs/d", str(outside.parent)),
            member(f"{top}rootfs/d/{outside.name}", b"evil"),
        ],
        "hardlink-to-symlink": [
            folder(f"{top}rootfs"),
            symlink(f"{top}rootfs/s", target),
            hardlink(f"{top}rootfs/h", f"{top}rootfs/s"),
            member(f"{top}rootfs/h", b"evil"),
        ],
        "hardlink-outside": [folder(f"{top}rootfs"), hardlink(f"{top}rootfs/h", up)],
        "dots": [folder(f"{top}rootfs"), member(f"{top}rootfs/{up}", b"evil")],
        "absolute": [folder(f"{top}rootfs"), member(target, b"evil")],
        "twice": [
            folder(f"{top}rootfs"),
            member(f"{top}rootfs/a", b"1"),
            member(f"{top}rootfs/a", b"2"),
            folder(f"{top}rootfs/a"),
        ],
        "devices": [
            folder(f"{top}rootfs"),
            device(f"{top}rootfs/sda", tarfile.BLKTYPE, 8, 0),
            device(f"{top}rootfs/mem", tarfile.CHRTYPE, 1, 1),
        ],
        "file-for-rootfs": [member(f"{top}rootfs", b"no folder")],
    }


BROKEN_INDEXES: dict[str, str] = {
    "empty": "",
    "no map": "- a",
    "nothing in it": "{}",
    "nil": "~",
    "aliases": "a: &a [x]\nb: [*a, *a, *a]\n",
    "nested": "[" * 100 + "]" * 100,
    "huge": "a: " + "x" * (1 << 20),
    "two documents": "name: a\n---\nname: b\n",
    "object": "!!python/object/apply:os.system ['touch /tmp/wardian-evil']",
    "no text": "\0\1\2",
}
