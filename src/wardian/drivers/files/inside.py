"""Reading and writing files, by a process whose root is a container's (drivers/files/helper.py).

Every path is opened by descriptor. What ends it all inside is the process itself: its root folder is
the container's, its user namespace too. RESOLVE_NO_MAGICLINKS besides keeps the links of /proc from
being followed. Fifos, devices and sockets are looked at, never opened: a file is first opened with
O_PATH, and that very file is opened again once it is known to be a regular one.
"""

from __future__ import annotations

import _thread
import errno
import os
import stat

from wardian.linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

RESOLVE = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
DEEPEST, LONGEST = 500, 3800
"""Levels of a tree, and characters of a path in it, that are walked; with a name more it fits PATH_MAX."""
LINKS = 40
"""Links in a row that are followed (path_resolution(7))."""
FILE_MODE = 0o640
FOLDER_MODE = 0o750
PARENT_MODE = 0o755
WITHOUT_TEMPORARY = (
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.EOPNOTSUPP,
    errno.EINVAL,
    errno.EISDIR,
)
"""What pseudo file systems such as /proc say to a new file: there a file is written in place."""
WRITTEN_OUT_BYTES = 1 << 20
PSEUDO = frozenset(
    (
        *(0x9FA0, 0x62656572, 0x27E0EB, 0x63677270, 0x64626720, 0x74726163, 0xCAFE4A11, 0x6165676C),
        *(0x73636673, 0x1CD1, 0x42494E4D, 0x19800202, 0x62656570, 0x65735543, 0xDE5E81E4),
    )
)
"""Magic numbers of file systems that hold no data (linux/magic.h): proc, sysfs, cgroup, cgroup2, debugfs,
tracefs, bpf, pstore, securityfs, devpts, binfmt_misc, mqueue, configfs, fusectl, efivarfs."""
KINDS = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "directory"),
    (stat.S_ISLNK, "symlink"),
    (stat.S_ISFIFO, "a fifo"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


class Refused(Exception):
    """What was asked makes no sense there; the text says why."""


def kind_of(mode: int) -> str:
    """file, directory, symlink, or words for what is never opened."""
    return next((name for test, name in KINDS if test(mode)), "not a file")


def about(found: os.stat_result) -> dict[str, Any]:
    """Type, owner, mode and size for the other side."""
    return {
        "type": kind_of(found.st_mode),
        "uid": found.st_uid,
        "gid": found.st_gid,
        "mode": stat.S_IMODE(found.st_mode),
        "size": found.st_size,
    }


class Inside:
    """The container's files. root: a descriptor of its root folder; fds: one of /proc/self/fd."""

    def __init__(self, root: int, fds: int) -> None:
        self.root = root
        self._fds = fds

    # --- finding -------------------------------------------------------------------------------

    def look(self, path: str, *, follow: bool) -> int:
        """An O_PATH descriptor of what is there; the caller closes it."""
        flags = os.O_PATH | (0 if follow else os.O_NOFOLLOW)
        return syscalls.openat2(self.root, path or ".", flags, resolve=RESOLVE)

    def folder(self, path: str) -> int:
        """An O_PATH descriptor of a folder; the caller closes it."""
        return syscalls.openat2(self.root, path or ".", os.O_PATH | os.O_DIRECTORY, resolve=RESOLVE)

    def reopen(self, fd: int, flags: int) -> int:
        """The same file, opened to be used; Refused unless it is a regular file."""
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            raise Refused(f"is {kind_of(mode)}")
        return os.open(str(fd), flags | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._fds)

    def place(self, path: str) -> tuple[int, str]:
        """(folder, name) where a file of that path is or would be, after its links; close the folder.

        The folder is `..` safe: no name is ever looked up above the process's root.
        """
        above, _, name = path.rstrip("/").rpartition("/")
        folder = self.folder(above)
        for _ in range(LINKS):
            if name in ("", ".", ".."):
                os.close(folder)
                raise Refused("Path already exists as a directory")
            try:
                target = os.readlink(name, dir_fd=folder)
            except OSError as error:
                if error.errno in (errno.EINVAL, errno.ENOENT):  # no link, or nothing at all
                    return folder, name
                os.close(folder)
                raise
            above, _, name = target.rstrip("/").rpartition("/")
            start, folder = folder, -1
            try:
                folder = self._beside(start, target, above)
            finally:
                os.close(start)
        os.close(folder)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))

    def _beside(self, start: int, target: str, above: str) -> int:
        """The folder that the link's text names, seen from the folder that holds the link."""
        if target.startswith("/"):
            return self.folder(above)
        flags = os.O_PATH | os.O_DIRECTORY
        return syscalls.openat2(start, above or ".", flags, resolve=syscalls.RESOLVE_NO_MAGICLINKS)

    # --- writing -------------------------------------------------------------------------------

    def make_folders(self, path: str) -> None:
        """Make the folders on the way to a path that are missing, as `mkdir -p` does."""
        parts = [part for part in path.split("/") if part]
        for depth in range(1, len(parts) + 1):
            try:
                os.close(self.folder("/".join(parts[:depth])))
            except FileNotFoundError:
                above = self.folder("/".join(parts[: depth - 1]))
                try:
                    make_folder(above, parts[depth - 1], {"mode": PARENT_MODE})
                finally:
                    os.close(above)

    def put(self, path: str, wanted: dict[str, Any], content: Iterable[memoryview]) -> None:
        """Make or replace what the path names. wanted: type, uid, gid, mode, target, append.

        A file is written beside its place and moved there whole; content is read to its end only
        for files. Owner and mode of what is there stay unless they are given.
        """
        kind = wanted.get("type", "file")
        if kind == "file":
            folder, name = self.place(path)
            try:
                self.put_file(folder, name, wanted, content)
            finally:
                os.close(folder)
            return
        above, _, name = path.rstrip("/").rpartition("/")
        folder = self.folder(above)
        try:
            if name in ("", ".", ".."):
                set_owner_and_mode(self.root, path or ".", wanted, follow=True)
            elif kind == "directory":
                make_folder(folder, name, wanted)
            else:
                make_link(folder, name, wanted)
        finally:
            os.close(folder)

    def put_file(
        self, folder: int, name: str, wanted: dict[str, Any], content: Iterable[memoryview]
    ) -> None:
        """Write one file in the folder; its name is no link, unless a racing process makes it one."""
        try:
            there: os.stat_result | None = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            there = None
        if there is not None:
            if stat.S_ISDIR(there.st_mode):
                raise Refused("Path already exists as a directory")
            if not stat.S_ISREG(there.st_mode) and not stat.S_ISLNK(there.st_mode):
                raise Refused(f"is {kind_of(there.st_mode)}")
            if wanted.get("append"):
                self._append(folder, name, content)
                set_owner_and_mode(folder, name, wanted)
                return
        try:
            fd, temporary = _temporary(folder, name)
        except OSError as error:
            if there is None or error.errno not in WITHOUT_TEMPORARY:
                raise
            self._overwrite(folder, name, content)
            return
        try:
            write_all(fd, content)
            _finish(fd, wanted, there)
            self._move_in(fd, temporary, folder, name)
        except BaseException:
            if temporary:
                os.unlink(temporary, dir_fd=folder)
            raise
        finally:
            _close_written(fd)

    def _move_in(self, fd: int, temporary: str, folder: int, name: str) -> None:
        """Give the finished file its name, in place of what has it now."""
        if not temporary:
            try:
                self._link(fd, folder, name)
                return
            except FileExistsError:
                temporary = temporary_name(name)
                self._link(fd, folder, temporary)
                try:
                    self._rename(fd, temporary, folder, name)
                except BaseException:
                    os.unlink(temporary, dir_fd=folder)
                    raise
                return
        self._rename(fd, temporary, folder, name)

    def _link(self, fd: int, folder: int, name: str) -> None:
        os.link(str(fd), name, src_dir_fd=self._fds, dst_dir_fd=folder, follow_symlinks=True)

    def _rename(self, fd: int, temporary: str, folder: int, name: str) -> None:
        try:
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            # A mount is on it (a single file shown to the container): only its content can change.
            os.lseek(fd, 0, os.SEEK_SET)
            self._overwrite(folder, name, read_all(fd))
            os.unlink(temporary, dir_fd=folder)

    def _existing(self, folder: int, name: str, flags: int) -> int:
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            return self.reopen(handle, flags)
        finally:
            os.close(handle)

    def _overwrite(self, folder: int, name: str, content: Iterable[memoryview]) -> None:
        fd = self._existing(folder, name, os.O_WRONLY | os.O_TRUNC)
        try:
            write_all(fd, content)
        finally:
            os.close(fd)

    def _append(self, folder: int, name: str, content: Iterable[memoryview]) -> None:
        fd = self._existing(folder, name, os.O_WRONLY | os.O_APPEND)
        try:
            before = os.fstat(fd).st_size
            try:
                write_all(fd, content)
            except BaseException:
                os.ftruncate(fd, before)
                raise
        finally:
            os.close(fd)

    def delete(self, path: str) -> None:
        """Remove a file, a link (not what it names) or an empty folder."""
        above, _, name = path.rstrip("/").rpartition("/")
        if name in ("", ".", ".."):
            raise Refused("cannot be removed")
        folder = self.folder(above)
        try:
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            (os.rmdir if stat.S_ISDIR(mode) else os.unlink)(name, dir_fd=folder)
        finally:
            os.close(folder)


def temporary_name(name: str) -> str:
    """A name beside a file that nobody guesses."""
    return f".{name[:200]}.{os.urandom(6).hex()}~"


def _temporary(folder: int, name: str) -> tuple[int, str]:
    """(descriptor, name) of a new file; without a name where the file system can: it vanishes with us."""
    try:
        return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=folder), ""
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            raise
    chosen = temporary_name(name)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(chosen, flags, 0o600, dir_fd=folder), chosen


def _finish(fd: int, wanted: dict[str, Any], there: os.stat_result | None) -> None:
    """Owner and mode: as wanted, else of what is replaced, else root's and FILE_MODE."""
    uid, gid, mode = (wanted.get(field) for field in ("uid", "gid", "mode"))
    if there is not None and stat.S_ISREG(there.st_mode):
        uid = there.st_uid if uid is None else uid
        gid = there.st_gid if gid is None else gid
        mode = stat.S_IMODE(there.st_mode) if mode is None else mode
    if uid or gid:
        os.fchown(fd, uid or 0, gid or 0)
    os.fchmod(fd, FILE_MODE if mode is None else mode)


def make_folder(above: int, name: str, wanted: dict[str, Any]) -> None:
    """Make a folder, or give one that is there (also by a link) the owner and mode that are given."""
    try:
        os.mkdir(name, 0o700, dir_fd=above)
    except FileExistsError:
        if not stat.S_ISDIR(os.stat(name, dir_fd=above).st_mode):
            raise Refused("exists and is no folder") from None
        set_owner_and_mode(above, name, wanted, follow=True)
        return
    mode = wanted.get("mode")
    set_owner_and_mode(above, name, {**wanted, "mode": FOLDER_MODE if mode is None else mode})


def make_link(above: int, name: str, wanted: dict[str, Any]) -> None:
    """Make a symbolic link, in place of a file or link that is there."""
    target = wanted.get("target") or ""
    try:
        os.symlink(target, name, dir_fd=above)
    except FileExistsError:
        if stat.S_ISDIR(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):
            raise Refused("Path already exists as a directory") from None
        temporary = temporary_name(name)
        os.symlink(target, temporary, dir_fd=above)
        try:
            os.rename(temporary, name, src_dir_fd=above, dst_dir_fd=above)
        except BaseException:
            os.unlink(temporary, dir_fd=above)
            raise
    set_owner_and_mode(above, name, {**wanted, "mode": None})


def set_owner_and_mode(above: int, name: str, wanted: dict[str, Any], *, follow: bool = False) -> None:
    """Change what is given; a link itself has no mode."""
    uid, gid, mode = (wanted.get(field) for field in ("uid", "gid", "mode"))
    if uid is not None or gid is not None:
        ids = (-1 if uid is None else uid, -1 if gid is None else gid)
        os.chown(name, *ids, dir_fd=above, follow_symlinks=follow)
    if mode is not None:
        if not follow and stat.S_ISLNK(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):
            return
        os.chmod(name, mode, dir_fd=above)


def _close_written(fd: int) -> None:
    """Close it. Of a large file the kernel begins to write the data to disk, which nobody waits for here.

    Else the next snapshot would wait for that: a file system that keeps a moment writes out all there is.
    """
    try:
        if os.fstat(fd).st_size >= WRITTEN_OUT_BYTES:
            _thread.start_new_thread(_write_out, (fd,))
            return
    except RuntimeError:
        pass  # no thread can be had
    os.close(fd)


def _write_out(fd: int) -> None:
    try:
        syscalls.begin_writeback(fd)
    except OSError:
        pass  # it can be written later as well
    finally:
        os.close(fd)


def write_all(fd: int, content: Iterable[memoryview]) -> None:
    """Write every piece."""
    for piece in content:
        while piece:
            piece = piece[os.write(fd, piece) :]


def read_all(fd: int, size: int = 1 << 20) -> Iterable[memoryview]:
    """The rest of a file in pieces."""
    while piece := os.read(fd, size):
        yield memoryview(piece)


def walk(
    inside: Inside,
    top: int,
    path: str,
    visit: Callable[[str, os.stat_result, int, str], None],
    skip: Callable[[str, str], None],
) -> None:
    """Visit a tree, folders before what is in them. top: O_PATH descriptor of its root.

    visit(path, stat, folder, name) sees folders, files and links; skip(path, why) all else. Mounts are
    entered, but not those of kernel file systems. What vanishes meanwhile is left out.
    """
    _Walk(inside, visit, skip).enter(top, ".", path, 0)


class _Walk:
    def __init__(
        self,
        inside: Inside,
        visit: Callable[[str, os.stat_result, int, str], None],
        skip: Callable[[str, str], None],
    ) -> None:
        self._inside, self._visit, self._skip = inside, visit, skip

    def enter(self, above: int, name: str, path: str, depth: int) -> None:
        """Visit a folder and what is in it; one that is a mount of the kernel's is left out."""
        if depth > DEEPEST or len(path) > LONGEST:
            self._skip(path[:LONGEST].rstrip("/"), "is nested too deeply")
            return
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, dir_fd=above)
        try:
            here = os.fstat(fd)
            is_mount = depth > 0 and here.st_dev != os.fstat(above).st_dev
            if is_mount and syscalls.fstatfs_type(fd) in PSEUDO:
                self._skip(path, "belongs to the kernel")
                return
            self._visit(path, here, above, name)
            for child in sorted(os.listdir(fd)):
                self._one(fd, child, f"{path}/{child}" if path else child, depth)
        finally:
            os.close(fd)

    def _one(self, folder: int, name: str, path: str, depth: int) -> None:
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                self.enter(folder, name, path, depth + 1)
            elif stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode):
                self._visit(path, found, folder, name)
            else:
                self._skip(path, f"is {kind_of(found.st_mode)}")
        except FileNotFoundError:
            return
