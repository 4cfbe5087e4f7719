"""Archives into volumes, by GNU tar and unsquashfs in confinement (linux/confine.py)."""

import asyncio
import hashlib
import os
import re
import stat
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from wardian.drivers.rootfs import owners
from wardian.errors import HostFailed, InvalidInput, OutOfSpace
from wardian.linux import confine, process, syscalls, userns
from wardian.model import ends
from wardian.model import image as image_model
from wardian.model.idmap import IdMap
from wardian.ports.rootfs import ImageFiles, Received

TAR = ("tar", "--extract", "--file=-", "--numeric-owner", "--same-owner", "--preserve-permissions")
TAR_ATTRIBUTES = ("--xattrs", "--xattrs-include=*", "--anchored", "--no-wildcards-match-slash")
DECOMPRESS = {"gz": "-z", "bz2": "-j", "xz": "-J", "zst": "--zstd", "lzma": "--lzma", "tar": ""}
HARMLESS = re.compile(
    rb"^tar: .*: Cannot mknod: Operation not permitted$|^tar: Exiting with failure status.*$|^$"
    rb"|^create_inode: could not create (?:character|block) device .*$"
    rb"|.*because you're not superuser!$|^tar: Ignoring unknown extended header keyword.*$"
)
"""Device nodes cannot be made in a user namespace; containers get theirs from the runtime."""
OUTPUT_BYTES = 64 * 1024
PIPE_BYTES = 1024 * 1024
PROGRESS_S = 0.25
"""Time between two looks at how far a program is."""
BACKUP_OWN = "backup/container/backup.yaml"
"""LXD's second copy of the index: one is enough, and two could disagree."""
READERS = {
    "gz": ("gzip", "-dc"),
    "bz2": ("bzip2", "-dc"),
    "xz": ("xz", "-dc"),
    "zst": ("zstd", "-dcq"),
    "lzma": ("xz", "--format=lzma", "-dc"),
    "tar": ("cat",),
}
SEAL_BYTES = 2048
"""A sealed archive ends with one header, one block with the checksum, and the end mark."""
FALLBACK_BASE = 1 << 20
"""First host id of the map for a host without sub-ids: nobody's."""


def kind_of_file(path: Path) -> str:
    """The format of a file; InvalidInput if it is none that images have."""
    with open(path, "rb") as file:
        return image_model.kind_of(file.read(image_model.MAGIC_BYTES))


async def can_map(folder: Path) -> bool:
    """Whether the file system of the folder has idmapped mounts (mount_setattr(2))."""
    namespace = await userns.create(IdMap.contiguous(FALLBACK_BASE, 65536))
    try:
        os.close(_tree(folder, namespace))
    except OSError:
        return False
    finally:
        os.close(namespace)
    return True


@asynccontextmanager
async def confined(
    program: Sequence[str],
    idmap: IdMap,
    *,
    target: Path | None,
    archive: Path | None,
    stdin: int = asyncio.subprocess.DEVNULL,
    mapped: bool = True,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A confined program that runs, its output in pipes; killed at the end of the block.

    target: the folder that it sees as /target, with unshifted owners, or if not `mapped` with those
    that its files have. archive: the file that it sees as /archive. stdin stays the caller's.
    """
    with ExitStack() as fds:
        namespace = await userns.create(_some(idmap))
        fds.callback(os.close, namespace)
        passed = [namespace]
        words = [str(namespace)]
        for path in (target, archive):
            if path is None:
                words.append("-")
                continue
            fd = (
                _readable(path, namespace)
                if path is archive
                else _shown(path, namespace if mapped else None)
            )
            fds.callback(os.close, fd)
            passed.append(fd)
            words.append(str(fd))
        child = await asyncio.create_subprocess_exec(
            *process.DIES_WITH_US,
            *(sys.executable, "-I", "-S", confine.__file__, *words, *program),
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=process.ENVIRONMENT,
            pass_fds=passed,
            start_new_session=True,
            limit=PIPE_BYTES,
        )
    try:
        yield child
    finally:
        await process.kill_group(child)


async def run(
    program: Sequence[str],
    idmap: IdMap,
    *,
    target: Path | None,
    archive: Path,
    by_path: bool = True,
    mapped: bool = True,
    received: Received | None = None,
    limit: int = OUTPUT_BYTES,
) -> tuple[int, bytes, bytes]:
    """(status, stdout, stderr) of a confined program; InvalidInput if it prints more than `limit`.

    by_path: the program sees the archive as /archive; otherwise as its standard input.
    """
    stdin = os.open(archive, os.O_RDONLY | os.O_CLOEXEC)
    try:
        shown = archive if by_path else None
        async with confined(
            program, idmap, target=target, archive=shown, stdin=stdin, mapped=mapped
        ) as child:
            assert child.stdout is not None and child.stderr is not None
            watching = asyncio.create_task(_watch(child.pid, stdin, by_path, received), name="progress")
            try:
                stdout, stderr = await asyncio.gather(
                    read_bounded(child.stdout, limit), read_bounded(child.stderr, OUTPUT_BYTES, rest=True)
                )
                return await child.wait(), stdout, stderr
            finally:
                watching.cancel()
    finally:
        os.close(stdin)


async def _watch(pid: int, stdin: int, by_path: bool, received: Received | None) -> None:
    """Tell again and again how far the program has read its archive. Nothing announces that.

    With an archive as standard input we share its position; what is read by path is counted by the
    kernel, with a little of everything else that the program reads.
    """
    size = os.fstat(stdin).st_size
    while received is not None:
        by_kernel = process.bytes_read(process.descendants(pid)) if by_path else 0
        received(min(by_kernel or os.lseek(stdin, 0, os.SEEK_CUR), size - 1))
        await asyncio.sleep(PROGRESS_S)


def _readable(archive: Path, namespace: int) -> int:
    try:
        return _tree(archive, namespace)
    except OSError:  # the program is not root; to others the folder of the file is closed
        archive.chmod(0o644)
        return _shown(archive, None)


def _shown(path: Path, namespace: int | None) -> int:
    try:
        return _tree(path, namespace)
    except OSError as error:
        raise HostFailed(
            f'the file system of "{path}" has no idmapped mounts ({error.strerror}); use ext4, xfs or btrfs'
        ) from error


def _tree(path: Path, namespace: int | None) -> int:
    """A detached mount of the path, without devices, its owners shown through the map of a namespace.

    The caller closes it. OSError (EINVAL) where the file system has no idmapped mounts.
    """
    fd = syscalls.open_tree(syscalls.AT_FDCWD, path, syscalls.OPEN_TREE_CLONE)
    try:
        syscalls.mount_setattr(fd, attr_set=syscalls.MOUNT_ATTR_NODEV)
        if namespace is not None:
            syscalls.mount_setattr(fd, attr_set=syscalls.MOUNT_ATTR_IDMAP, userns_fd=namespace)
    except OSError:
        os.close(fd)
        raise
    return fd


async def read_bounded(stream: asyncio.StreamReader, limit: int, *, rest: bool = False) -> bytes:
    """What comes, up to the limit; more is InvalidInput, or dropped with `rest`."""
    found = bytearray()
    while chunk := await stream.read(65536):
        if len(found) + len(chunk) <= limit:
            found += chunk
        elif not rest:
            raise InvalidInput(
                f"the archive holds a file that is larger than the {limit} bytes allowed for it"
            )
    return bytes(found)


async def read_metadata(image: ImageFiles, idmap: IdMap) -> bytes:
    """See ports.Rootfs."""
    for path in filter(None, (image.metadata, image.rootfs)):
        kind = kind_of_file(path)
        with open(path, "rb") as file:
            if await asyncio.to_thread(ends.is_cut, file, kind):
                raise InvalidInput("the image ends too early: its download or copy was cut; get it again")
    if kind_of_file(image.metadata) == "squashfs":
        raise InvalidInput("a squashfs image needs a metadata tarball beside it")
    return await read_member(image.metadata, ("metadata.yaml", "./metadata.yaml"), idmap, "image")


async def read_member(archive: Path, members: Sequence[str], idmap: IdMap, what: str) -> bytes:
    """The bytes of the first of these files that the archive has; what: "image" for the error."""
    kind = kind_of_file(archive)
    reason = b""
    for member in members:
        argv = ["tar", "--extract", "--to-stdout", "--file=-", *_decompress(kind)]
        argv += ["--occurrence=1", "--", member]
        status, content, reason = await run(
            argv, idmap, target=None, archive=archive, by_path=False, limit=image_model.METADATA_BYTES
        )
        if status == 0 and content:
            return content
    line = reason.decode(errors="replace").strip().splitlines()
    raise InvalidInput(
        f"Could not extract {what} {members[0]} from tar: {line[0] if line else 'not a file'}"
    )


async def stream_member(archive: Path, member: str, idmap: IdMap) -> AsyncGenerator[bytes, None]:
    """See ports.Rootfs."""
    argv = ["tar", "--extract", "--to-stdout", "--file=-", *_decompress(kind_of_file(archive))]
    stdin, size = os.open(archive, os.O_RDONLY | os.O_CLOEXEC), 0
    try:
        words = [*argv, "--no-unquote", "--occurrence=1", "--", member]
        async with confined(words, idmap, target=None, archive=None, stdin=stdin) as child:
            assert child.stdout is not None
            while chunk := await child.stdout.read(PIPE_BYTES):
                size += len(chunk)
                yield chunk
    finally:
        os.close(stdin)
    if not size:
        raise InvalidInput(f'there is no "{member}" in the archive')


def refuse_devices(folder: Path) -> None:
    """See ports.Rootfs."""
    for top, _, files in os.walk(folder):
        for name in files:
            found = os.lstat(f"{top}/{name}")
            if stat.S_ISBLK(found.st_mode) or (stat.S_ISCHR(found.st_mode) and found.st_rdev):
                raise InvalidInput("there are device nodes in it: only a portable export can be read in")


def _decompress(kind: str) -> list[str]:
    return [DECOMPRESS[kind]] if DECOMPRESS[kind] else []


def _some(idmap: IdMap) -> IdMap:
    """The map, or one onto nobody's ids for a host that has none."""
    return idmap if idmap.ranges else IdMap.contiguous(FALLBACK_BASE, 65536)


async def unpack(image: ImageFiles, folder: Path, idmap: IdMap, received: Received, *, mapped: bool) -> None:
    """See ports.Rootfs. Not mapped: the tree is unpacked with shifted owners, which are taken back."""
    used = _some(idmap)
    await _extract(image.metadata, folder, used, received, mapped=mapped)
    rootfs = folder / "rootfs"
    if image.rootfs is not None:
        if os.path.lexists(rootfs):
            raise InvalidInput("the metadata tarball holds a rootfs; it must be in one place only")
        rootfs.mkdir(mode=0o755)
        before = image.metadata.stat().st_size
        await _extract(image.rootfs, rootfs, used, lambda read: received(before + read), mapped=mapped)
    if not mapped:
        await asyncio.to_thread(owners.rewrite, folder, used, IdMap())
    check_layout(folder, image.metadata.name)


async def _extract(archive: Path, target: Path, idmap: IdMap, received: Received, *, mapped: bool) -> None:
    kind = kind_of_file(archive)
    if kind == "squashfs":
        argv = ["unsquashfs", "-f", "-n", "-d", "/target", "/archive"]
    else:
        argv = [*TAR, *TAR_ATTRIBUTES, "--exclude=dev/*", "--exclude=./dev/*", "--exclude=rootfs/dev/*"]
        argv += [*_decompress(kind), "--directory=/target"]
    await _run_extract(argv, archive, target, idmap, "image", received, mapped=mapped)


async def extract(archive: Path, member: str, folder: Path, idmap: IdMap, *, mapped: bool) -> None:
    """See ports.Rootfs. Not mapped: as of `unpack`."""
    kind = kind_of_file(archive)
    if kind == "squashfs":
        raise InvalidInput("a squashfs file holds no exported container")
    depth = member.count("/") + 1
    argv = [*TAR, *TAR_ATTRIBUTES, *_decompress(kind), "--directory=/target", f"--strip-components={depth}"]
    argv += [f"--exclude={BACKUP_OWN}", "--no-unquote", "--", member]
    used = _some(idmap)
    await _run_extract(argv, archive, folder, used, "container", lambda _: None, mapped=mapped)
    if not mapped:
        await asyncio.to_thread(owners.rewrite, folder, used, IdMap())
    check_layout(folder, folder.name, needs_metadata=False)


async def check_seal(archive: Path, seal: str, idmap: IdMap) -> None:
    """See ports.Rootfs."""
    program = [*READERS[kind_of_file(archive)], "/archive"]
    digest, kept = hashlib.sha256(), b""
    async with confined(program, idmap, target=None, archive=archive) as child:
        assert child.stdout is not None
        while chunk := await child.stdout.read(PIPE_BYTES):
            whole = kept + chunk
            kept = whole[-SEAL_BYTES:]
            await asyncio.to_thread(digest.update, whole[:-SEAL_BYTES])
    named = kept[: len(seal) + 1] == f"{seal}\0".encode()
    if not named or kept[512:576] != digest.hexdigest().encode():
        raise InvalidInput("the file is damaged or cut short: its checksum is wrong")


async def _run_extract(
    argv: Sequence[str],
    archive: Path,
    target: Path,
    idmap: IdMap,
    what: str,
    received: Received,
    *,
    mapped: bool,
) -> None:
    with ExitStack() as lent:
        if not mapped:
            root = [idmap.host_id("uid", 0) or 0, idmap.host_id("gid", 0) or 0]
            lent.enter_context(owners.lent(target, *root))
        by_path = "/archive" in argv
        status, _, stderr = await run(
            argv, idmap, target=target, archive=archive, by_path=by_path, mapped=mapped, received=received
        )
    complaints = [line for line in stderr.splitlines() if not HARMLESS.match(line)]
    if status == 0 or (not complaints and status in (1, 2)):
        received(archive.stat().st_size)
        return
    if b"No space left" in stderr or b"Disk quota exceeded" in stderr:
        raise OutOfSpace(f"Unable to unpack {what}, run out of disk space.")
    line = complaints[0].decode(errors="replace") if complaints else f"status {status}"
    raise InvalidInput(f"cannot unpack {what}: {line}")


def check_layout(folder: Path, name: str, *, needs_metadata: bool = True) -> None:
    """Refuse a tree whose fixed names are not what they must be (links, above all). name: for errors."""
    rootfs, templates, metadata = (folder / each for each in ("rootfs", "templates", "metadata.yaml"))
    if rootfs.is_symlink() or not rootfs.is_dir():
        raise InvalidInput(f"Image is missing a rootfs: {name}")
    if templates.is_symlink() or (templates.exists() and not templates.is_dir()):
        raise InvalidInput('image: "templates" is not a folder')
    is_there = needs_metadata or os.path.lexists(metadata)
    if is_there and (metadata.is_symlink() or not metadata.is_file()):
        raise InvalidInput('image: "metadata.yaml" is not a file')
    os.chown(folder, 0, 0)
    folder.chmod(0o700)  # what is made of it is opened to the root of its container only
