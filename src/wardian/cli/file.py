"""lxc file: fetch, send, edit and remove files of containers."""

from __future__ import annotations

import os
import stat
import sys

from wardian.cli import progress
from wardian.cli.options import Values
from wardian.cli.session import Session, UsageError, container_url, need
from wardian.client.connection import ApiError, Connection, Response, envelope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

    Shown = Callable[[Iterator[bytes], int], Iterator[bytes]]

CHUNK = 1 << 20
FOLDER_MODE = 0o755
FILE_MODE = 0o644
WITHOUT_SET_ID = 0o1777
"""What is taken of a mode that comes from a container: a set-user-ID file would give its rights here."""


class Path:
    """A path in a container: `[remote:]container/path`."""

    def __init__(self, session: Session, text: str, role: str) -> None:
        container, slash, self.path = text.partition("/")
        if not slash or not container:
            raise ApiError(f"Invalid {role} {text}")
        self.daemon, self.container = session.server(container)
        if not self.container:
            raise ApiError(f"Invalid {role} {text}")

    @property
    def is_folder(self) -> bool:
        """Whether it says so itself."""
        return self.path.endswith("/") or not self.path

    @property
    def name(self) -> str:
        """The last part."""
        return os.path.basename(self.path.rstrip("/"))

    def url(self, what: str = "files", path: str | None = None, **more: str) -> str:
        """The address in the API of the path, or of another one in the same container."""
        asked = "/" + (self.path if path is None else path).lstrip("/")
        query = "".join(f"&{key}={_quoted(value)}" for key, value in more.items())
        return f"{container_url(self.container, what)}?path={_quoted(asked)}{query}"


def _quoted(text: str) -> str:
    """A file name as part of a URL, also one that is no UTF-8."""
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/"
    return "".join(chr(b) if b in plain else f"%{b:02X}" for b in os.fsencode(text))


def run(session: Session, values: Values, words: list[str]) -> int:
    """Dispatch."""
    actions = {"pull": pull, "push": push, "edit": edit, "delete": delete, "mkdir": mkdir}
    actions["create"] = create
    if not words or words[0] not in actions:
        raise UsageError
    actions[words[0]](session, values, words[1:])
    return 0


# --- pull --------------------------------------------------------------------------------------


def pull(session: Session, values: Values, words: list[str]) -> None:
    """Fetch files to a file, a folder or stdout."""
    if len(words) < 2:
        raise UsageError
    *texts, target = words
    sources = [Path(session, text, "source") for text in texts]
    if values.recursive:
        from wardian.cli import tree

        tree.pull(sources, target, create=values.create_dirs)
        return
    into_folder = target != "-" and _is_folder_target(target, len(sources), values.create_dirs)
    for source in sources:
        response = _fetch(source)
        if target == "-":
            for chunk in response.chunks():
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            continue
        label = f"Pulling {source.container}/{source.path}"
        shown = progress.watched(session, label, response.chunks(), progress.length(response))
        save(response, os.path.join(target, source.name) if into_folder else target, shown)


def _is_folder_target(target: str, count: int, create: bool) -> bool:
    """Whether files go into the target; it is made if it has to be a folder."""
    if os.path.isdir(target):
        return True
    if os.path.exists(target):
        if count > 1 or target.endswith("/"):
            raise ApiError("More than one file to download, but target is not a directory")
        return False
    if count > 1 or target.endswith("/"):
        (os.makedirs if create else os.mkdir)(target, FOLDER_MODE)
        return True
    if create and os.path.dirname(target):
        os.makedirs(os.path.dirname(target), FOLDER_MODE, exist_ok=True)
    return False


def _fetch(source: Path) -> Response:
    """The reply with the file's content; ApiError if it is none."""
    response = source.daemon.send("GET", source.url())
    if response.status != 200:
        envelope(response)  # raises
    kind = response.headers.get("x-lxd-type", "file")
    if kind == "directory":
        response.read()
        raise ApiError(f'"{source.container}/{source.path}" is a folder; use -r to fetch it with all in it')
    if kind != "file":
        raise ApiError(f'"{source.container}/{source.path}" is {kind}, which is not fetched')
    return response


def save(response: Response, target: str, pieces: Iterator[bytes]) -> None:
    """Write the content to a file, which is there whole in the end or as it was before."""
    place = os.path.realpath(target)
    mode = int(response.headers.get("x-lxd-mode", "0644"), 8) & 0o777
    try:
        there = os.stat(place)
    except FileNotFoundError:
        there = None
    try:
        if there is not None and not stat.S_ISREG(there.st_mode):  # a device or pipe of the user's
            with open(place, "wb", buffering=0) as file:
                _copy(pieces, file)
            return
        temporary = f"{place}.{os.getpid()}~"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "wb", buffering=0) as file:
                _copy(pieces, file)
                if there is not None and (there.st_uid, there.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(fd, there.st_uid, there.st_gid)
                os.fchmod(fd, stat.S_IMODE(there.st_mode) if there is not None else mode)
            os.rename(temporary, place)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise ApiError(f'cannot write "{target}": {error.strerror}') from None


def _copy(pieces: Iterator[bytes], file: BinaryIO) -> None:
    for chunk in pieces:
        view = memoryview(chunk)
        while view:
            view = view[file.write(view) :]


# --- push --------------------------------------------------------------------------------------


def push(session: Session, values: Values, words: list[str]) -> None:
    """Send files to a container."""
    if len(words) < 2:
        raise UsageError
    *sources, text = words
    target = Path(session, text, "target")
    if values.recursive:
        from wardian.cli import tree

        if values.mode:
            raise ApiError("--mode cannot be given with -r: files and folders keep theirs")
        owner = {name: getattr(values, name) for name in ("uid", "gid") if getattr(values, name) >= 0}
        tree.push(sources, target, create=values.create_dirs, owner=owner)
        return
    if len(sources) > 1 and not target.is_folder:
        raise UsageError
    if "-" in sources and target.is_folder:
        raise ApiError("standard input has no name: give the target's")
    opened = [_opened(source) for source in sources]
    if values.create_dirs:
        make_folders(target, target.path if target.is_folder else os.path.dirname(target.path))
    for source, file in zip(sources, opened, strict=True):
        with file:
            name = os.path.basename(source)
            path = f"{target.path}{name}" if target.is_folder else target.path
            headers = {**_owner_and_mode(values, file if source != "-" else None), "X-LXD-type": "file"}
            send(target.daemon, target.url(path=path), file, headers, _shown(session, source))


def _opened(source: str) -> BinaryIO:
    """The file to send; ApiError if it is none."""
    if source == "-":
        return open(os.dup(sys.stdin.fileno()), "rb", buffering=0)
    try:
        file = open(source, "rb", buffering=0)  # noqa: SIM115 (the caller closes it)
        if stat.S_ISDIR(os.fstat(file.fileno()).st_mode):
            raise IsADirectoryError
        return file
    except IsADirectoryError:
        raise ApiError(f'"{source}" is a folder; use -r to send it with all in it') from None
    except OSError as error:
        raise ApiError(f'cannot read "{source}": {error.strerror}') from None


def _owner_and_mode(values: Values, file: BinaryIO | None) -> dict[str, str]:
    """The headers: as given, else as the source is."""
    headers = {}
    if file is not None:
        found = os.fstat(file.fileno())
        mode = stat.S_IMODE(found.st_mode)
        headers = {
            "X-LXD-uid": str(found.st_uid),
            "X-LXD-gid": str(found.st_gid),
            "X-LXD-mode": f"{mode:04o}",
        }
    for flag in ("uid", "gid"):
        if getattr(values, flag) >= 0:
            headers[f"X-LXD-{flag}"] = str(getattr(values, flag))
    if values.mode:
        headers["X-LXD-mode"] = values.mode.rjust(4, "0")
    return headers


def _shown(session: Session, source: str) -> Shown:
    return lambda pieces, size: progress.watched(session, f"Pushing {source}", pieces, size)


def send(
    daemon: Connection,
    url: str,
    file: BinaryIO,
    headers: dict[str, str],
    shown: Shown = lambda pieces, _: pieces,
) -> None:
    """Send an open file as it is; ApiError with the daemon's words if it says no.

    shown: the pieces of a file of that size, on their way.
    """
    fields = {"Content-Type": "application/octet-stream", **headers}
    found = os.fstat(file.fileno())
    if stat.S_ISREG(found.st_mode):
        body = shown(_pieces(file, found.st_size), found.st_size)
        envelope(daemon.send("POST", url, body, {**fields, "Content-Length": str(found.st_size)}))
    else:
        envelope(daemon.send("POST", url, chunked(_all(file)), {**fields, "Transfer-Encoding": "chunked"}))


def _pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    """So many bytes of the file; ApiError if it is cut meanwhile."""
    while size:
        piece = file.read(min(size, CHUNK))
        if not piece:
            raise ApiError("a file shrank while it was sent; what was sent is dropped")
        size -= len(piece)
        yield piece


def _all(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece


def chunked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces in HTTP's chunked encoding."""
    for piece in pieces:
        if piece:
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def make_folders(target: Path, path: str) -> None:
    """Make a folder in the container, and those on the way to it."""
    parts = [part for part in path.split("/") if part]
    for depth in range(1, len(parts) + 1):
        url = target.url(path="/".join(parts[:depth]))
        if target.daemon.send("HEAD", url).status == 200:
            continue
        _make_folder(target.daemon, url, {"X-LXD-mode": f"{FOLDER_MODE:04o}"})


def _make_folder(daemon: Connection, url: str, headers: dict[str, str]) -> None:
    daemon.request("POST", url, headers={**headers, "X-LXD-type": "directory"})


# --- edit, delete, mkdir -----------------------------------------------------------------------


def edit(session: Session, values: Values, words: list[str]) -> None:
    """Replace a file by stdin, or what an editor makes of it; owner and mode stay."""
    need(words, 1, 1)
    target = Path(session, words[0], "target")
    if not sys.stdin.isatty():
        with _opened("-") as piped:
            send(target.daemon, target.url(), piped, {"X-LXD-type": "file"})
        return
    import tempfile

    from wardian.cli import editor

    suffix = os.path.splitext(target.name)[1]
    with tempfile.TemporaryDirectory(prefix="lxd_file_edit_") as folder:
        path = os.path.join(folder, "file" + suffix)
        response = _fetch(target)
        save(response, path, response.chunks())
        editor.edit_file(path)
        with open(path, "rb", buffering=0) as file:
            send(target.daemon, target.url(), file, {"X-LXD-type": "file"})


def delete(session: Session, values: Values, words: list[str]) -> None:
    """Remove files, links and empty folders."""
    if not words:
        raise UsageError
    for path in _paths(session, words):
        path.daemon.request("DELETE", path.url())


def mkdir(session: Session, values: Values, words: list[str]) -> None:
    """Make folders."""
    if not words:
        raise UsageError
    for path in _paths(session, words):
        if values.create_dirs:
            make_folders(path, os.path.dirname(path.path.rstrip("/")))
        mode = {} if values.mode else {"X-LXD-mode": f"{FOLDER_MODE:04o}"}
        _make_folder(path.daemon, path.url(), {**mode, **_owner_and_mode(values, None)})


def create(session: Session, values: Values, words: list[str]) -> None:
    """Make an empty file, a folder or a link."""
    kinds = {"file": b"", "directory": b"", "symlink": os.fsencode(words[1]) if len(words) > 1 else b""}
    if values.type not in kinds:
        raise ApiError(f'invalid type "{values.type}"; use {", ".join(kinds)}')
    need(words, *((2, 2) if values.type == "symlink" else (1, 1)))
    path = Path(session, words[0], "path")
    if values.create_dirs:
        make_folders(path, os.path.dirname(path.path.rstrip("/")))
    kind = "directory" if path.is_folder else values.type
    headers = {"X-LXD-type": kind}
    if kind != "symlink":
        default = FOLDER_MODE if kind == "directory" else FILE_MODE
        headers |= {"X-LXD-mode": f"{default:04o}", **_owner_and_mode(values, None)}
    envelope(path.daemon.send("POST", path.url(), kinds[values.type], headers))


def _paths(session: Session, words: Sequence[str]) -> list[Path]:
    return [Path(session, word, "path") for word in words]
