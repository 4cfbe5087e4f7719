"""Volumes into tar archives: read by GNU tar in confinement, compressed and hashed as they stream.

An archive is put together from pieces: files of ours, and trees whose tar streams lose their end
mark. The same content gives the same bytes: sorted names, no access times, no names of processes.
"""

import asyncio
import hashlib
import os
import stat
import tarfile
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from wardian.drivers.rootfs import unpack
from wardian.errors import HostFailed
from wardian.linux import process
from wardian.model.idmap import IdMap
from wardian.ports.rootfs import Counted, Packed, PackedFile, PackedTree

TAR = (
    *("tar", "--create", "--file=-", "--blocking-factor=1", "--sort=name", "--numeric-owner"),
    *("--format=posix", "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime"),
    *("--xattrs", "--xattrs-include=*", "--directory=/target"),
)
COMPRESSORS: dict[str, tuple[str, ...]] = {
    "none": (),
    "gzip": ("gzip", "-c", "-n"),
    "bzip2": ("bzip2", "-c"),
    "xz": ("xz", "-c", "-T0"),
    "lzma": ("xz", "-c", "--format=lzma"),
    "zstd": ("zstd", "-c", "-q", "-T0"),
}
BLOCK = 512
HEAD_BYTES = 3 * BLOCK
"""Of a member: its header, and an extended one for times that are no whole seconds."""
END = bytes(2 * BLOCK)
"""Ends a tar archive."""
CHUNK = unpack.PIPE_BYTES


class _Sink:
    """The file that is written: counted, hashed, synced at the end."""

    def __init__(self, target: Path) -> None:
        self._file = open(target, "xb")  # noqa: SIM115 (closed by `close`)
        self._digest = hashlib.sha256()
        self._size = 0

    async def put(self, chunk: bytes) -> None:
        await asyncio.to_thread(self._put, chunk)

    def _put(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._digest.update(chunk)
        self._size += len(chunk)

    def finish(self) -> Packed:
        self._file.flush()
        os.fsync(self._file.fileno())
        return Packed(self._digest.hexdigest(), self._size)

    def close(self) -> None:
        self._file.close()


async def pack(
    parts: Sequence[PackedFile | PackedTree],
    target: Path,
    idmap: IdMap,
    *,
    compression: str,
    seal: str,
    counted: Counted,
) -> Packed:
    """See ports.Rootfs."""
    sink = _Sink(target)
    try:
        async with _compressor(compression, sink) as put, _guess(parts) as about:
            total, digest = 0, hashlib.sha256()
            async for chunk in stream(parts, idmap):
                if seal:
                    digest.update(chunk)
                await put(chunk)
                total += len(chunk)
                counted(total, about())
            if seal:
                await put(member(seal, digest.hexdigest().encode()))
            await put(END)
        return await asyncio.to_thread(sink.finish)
    finally:
        sink.close()


@asynccontextmanager
async def _guess(parts: Sequence[PackedFile | PackedTree]) -> AsyncIterator[Callable[[], int | None]]:
    """What tells about how large the archive will be; None while the files are still being counted."""
    stop = threading.Event()
    counting = asyncio.create_task(asyncio.to_thread(about_bytes, parts, stop), name="count files")
    try:
        yield lambda: counting.result() if counting.done() else None
    finally:
        stop.set()
        await asyncio.wait([counting])


def about_bytes(parts: Sequence[PackedFile | PackedTree], stop: threading.Event) -> int:
    """The size of the archive but for what only tar knows: holes, attributes, long names."""
    total = sum(len(member(part.name, part.content)) for part in parts if isinstance(part, PackedFile))
    for part in parts:
        if isinstance(part, PackedTree):
            for name in part.names:
                total += _tree_bytes(part.folder / name, stop)
    return total


def _tree_bytes(top: Path, stop: threading.Event) -> int:
    """As above, of a file or tree; counting ends at what vanishes meanwhile."""
    total, linked = HEAD_BYTES, set()
    if not top.is_dir():
        with suppress(OSError):
            total += top.lstat().st_size
        return total
    with suppress(OSError):
        for _, folders, files, fd in os.fwalk(top):
            for name in (*folders, *files):
                found = os.stat(name, dir_fd=fd, follow_symlinks=False)
                total += HEAD_BYTES
                if not stat.S_ISREG(found.st_mode) or found.st_ino in linked:
                    continue
                if found.st_nlink > 1:
                    linked.add(found.st_ino)
                total += -(-found.st_size // BLOCK) * BLOCK
            if stop.is_set():
                break
    return total


@asynccontextmanager
async def _compressor(compression: str, sink: _Sink) -> AsyncIterator[Callable[[bytes], Awaitable[None]]]:
    """What takes bytes and has them compressed into the sink; all of them are there after the block."""
    argv = COMPRESSORS[compression]
    if not argv:
        yield sink.put
        return
    try:
        child = await asyncio.create_subprocess_exec(
            *process.DIES_WITH_US,
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=process.ENVIRONMENT,
            start_new_session=True,
            limit=CHUNK,
        )
    except FileNotFoundError as error:
        raise HostFailed(f'program "{argv[0]}" is not installed; install the package that has it') from error
    assert child.stdin is not None and child.stdout is not None and child.stderr is not None
    into, out = child.stdin, child.stdout

    async def put(chunk: bytes) -> None:
        if moving.done():
            await moving  # raises what went wrong
        into.write(chunk)
        try:
            await into.drain()
        except ConnectionError as error:
            raise HostFailed(f"{argv[0]} ended too early") from error

    moving = asyncio.create_task(_move(out, sink), name=f"write what {argv[0]} makes")
    try:
        yield put
        into.close()
        await moving
        if status := await child.wait():
            said = (await child.stderr.read(unpack.OUTPUT_BYTES)).decode(errors="replace").strip()
            raise HostFailed(f"{argv[0]} failed with status {status}: {said or 'it said nothing'}")
    finally:
        moving.cancel()
        await asyncio.wait([moving])
        await process.kill_group(child)


async def _move(source: asyncio.StreamReader, sink: _Sink) -> None:
    while chunk := await source.read(CHUNK):
        await sink.put(chunk)


async def stream(
    parts: Sequence[PackedFile | PackedTree], idmap: IdMap, *, mapped: bool = True
) -> AsyncGenerator[bytes, None]:
    """The archive without its end mark, uncompressed.

    mapped: the files have unshifted owners; else those that `idmap` gives them.
    """
    for part in parts:
        if isinstance(part, PackedFile):
            yield member(part.name, part.content)
        else:
            async for chunk in _tree(part, idmap, mapped):
                yield chunk


def member(name: str, content: bytes) -> bytes:
    """A file as it is in an archive."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mode = 0o644
    return info.tobuf(tarfile.PAX_FORMAT) + content + bytes(-len(content) % BLOCK)


async def _tree(tree: PackedTree, idmap: IdMap, mapped: bool) -> AsyncIterator[bytes]:
    argv = [*TAR, *([_transform(tree.prefix)] if tree.prefix else []), "--", *tree.names]
    kept = b""
    async with unpack.confined(argv, idmap, target=tree.folder, archive=None, mapped=mapped) as child:
        assert child.stdout is not None and child.stderr is not None
        complaints = asyncio.create_task(
            unpack.read_bounded(child.stderr, unpack.OUTPUT_BYTES, rest=True), name="complaints of tar"
        )
        try:
            while chunk := await child.stdout.read(CHUNK):
                whole = kept + chunk
                kept = whole[-len(END) :]
                if len(whole) > len(END):
                    yield whole[: -len(END)]
            said = (await complaints).decode(errors="replace").strip()
            status = await child.wait()
        finally:
            complaints.cancel()
            await asyncio.wait([complaints])
    if status or kept != END:
        line = said.splitlines()[0] if said else f"tar ended with status {status}"
        raise HostFailed(f'cannot read the files of "{tree.folder.name}": {line}')


def _transform(prefix: str) -> str:
    """Puts the prefix before names and targets of hard links, not before those of symbolic links."""
    escaped = prefix.replace("\\", r"\\").replace("&", r"\&").replace(",", r"\,")
    return f"--transform=flags=rSh;s,^,{escaped}/,"
