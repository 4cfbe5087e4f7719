"""The client's files: `config.yml` with remotes and aliases, certificates (spec/cli.md section 3)."""

from __future__ import annotations

import os

from wardian.client.connection import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LONGEST_NAME = 128


class Remote:
    """A place that has containers or images. protocol: lxd, simplestreams or bootstrap."""

    def __init__(self, name: str, url: str, protocol: str, *, public: bool, static: bool) -> None:
        self.name, self.url, self.protocol, self.public, self.static = name, url, protocol, public, static


DEFAULTS = (
    Remote("debian", "bootstrap:", "bootstrap", public=True, static=True),
    Remote("images", "https://images.linuxcontainers.org", "simplestreams", public=True, static=False),
    Remote("local", "unix://", "lxd", public=False, static=True),
    Remote("ubuntu", "https://cloud-images.ubuntu.com/releases", "simplestreams", public=True, static=True),
    Remote(
        "ubuntu-daily", "https://cloud-images.ubuntu.com/daily", "simplestreams", public=True, static=True
    ),
)
STATIC = {remote.name: remote for remote in DEFAULTS if remote.static}


class Config:
    """What the user configured; the defaults where nothing is said."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.default = str(content.get("default-remote") or "local")
        self.aliases = {str(k): str(v) for k, v in (content.get("aliases") or {}).items()}
        listed = content.get("remotes")
        self.remotes = {r.name: r for r in (DEFAULTS if listed is None else STATIC.values())}
        for key, entry in (listed or {}).items():
            name = str(key)
            if name not in STATIC:
                self.remotes[name] = Remote(
                    name,
                    str(entry.get("addr", "")),
                    str(entry.get("protocol") or "lxd"),
                    public=bool(entry.get("public")),
                    static=False,
                )

    def split(self, text: str) -> tuple[Remote, str]:
        """(remote, object) of `[remote:]object`; ApiError if there is no such remote."""
        name, colon, rest = text.partition(":")
        if not colon or ("/" in name and name not in self.remotes):
            return self.remote(self.default), text
        return self.remote(name), rest

    def remote(self, name: str) -> Remote:
        """The remote of this name."""
        if name not in self.remotes:
            raise ApiError(f'The remote "{name}" doesn\'t exist')
        return self.remotes[name]


def folder() -> str:
    """Where the client keeps its files."""
    chosen = os.environ.get("LXD_CONF") or os.path.join(os.path.expanduser("~"), ".config", "lxc")
    return os.path.expandvars(chosen)


def load(*, ignore_file: bool = False) -> Config:
    """The configuration; ApiError if the file is broken."""
    return Config({} if ignore_file else _read())


def _read() -> dict[str, Any]:
    path = os.path.join(folder(), "config.yml")
    try:
        with open(path) as file:
            version = _version(os.fstat(file.fileno()))
            content = _remembered(path, version)
            if content is None:
                content = _parse(path, file.read())
                _remember(path, version, content)
            return content
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ApiError(f'cannot read "{path}": {error.strerror}; LXD_CONF names another folder') from None
    except ValueError as error:
        raise ApiError(f'cannot read "{path}": {error}') from None


def _parse(path: str, text: str) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ApiError(f'"{path}" is not valid YAML: {" ".join(str(error).split())}') from None
    if not isinstance(content, dict):
        raise ApiError(f'"{path}" is not a map')
    for part in ("remotes", "aliases"):
        if not isinstance(content.get(part, {}), dict | None):
            raise ApiError(f'"{path}": "{part}" is not a map')
    if not all(isinstance(entry, dict) for entry in (content.get("remotes") or {}).values()):
        raise ApiError(f'"{path}": each of "remotes" is a map')
    return content


# What config.yml says is kept as JSON beside it: the YAML library costs each `lxc` command 11 ms of 25.

SETTLED_NS = 2_000_000_000
"""A file that was written so lately may be written again without a change of its times."""


def _version(about: os.stat_result) -> list[int]:
    """What differs once the file has been written or replaced."""
    return [about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns]


def _remembered(path: str, version: list[int]) -> dict[str, Any] | None:
    """What this version of the file says; None if that is not known."""
    from wardian.client import jsontext

    try:
        with open(f"{path}.cache") as file:
            known: Any = jsontext.loads(file.read())
    except (OSError, ValueError):
        return None
    fits = isinstance(known, list) and len(known) == 2 and known[0] == version
    return known[1] if fits and isinstance(known[1], dict) else None


def _remember(path: str, version: list[int], content: dict[str, Any]) -> None:
    """Keep it, if JSON can say all of it; nothing is lost where the folder cannot be written."""
    import time

    from wardian.client import jsontext

    if time.time_ns() - version[-1] < SETTLED_NS:
        return
    try:
        text = jsontext.dumps([version, content])
        if jsontext.loads(text)[1] == content:
            replace_file(f"{path}.cache", text)
    except (OSError, ValueError, TypeError, RecursionError):
        return


def change(function: Callable[[Config], None]) -> None:
    """Let the function change remotes, the default one and aliases, and save that; one process at a time.

    What else the file says stays. ApiError if the file cannot be read or written.
    """
    import fcntl

    os.makedirs(folder(), mode=0o750, exist_ok=True)
    fd = os.open(folder(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        content = _read()
        changed = Config(content)
        function(changed)
        listed = {r.name: _entry(r) for r in changed.remotes.values() if not r.static}
        aliases = {"aliases": changed.aliases} if changed.aliases or content.get("aliases") else {}
        _write({**content, "default-remote": changed.default, "remotes": listed, **aliases})
    except OSError as error:
        raise ApiError(f'cannot write to "{folder()}": {error.strerror}') from None
    finally:
        os.close(fd)


def _entry(remote: Remote) -> dict[str, Any]:
    entry: dict[str, Any] = {"addr": remote.url, "public": remote.public}
    if remote.protocol != "lxd":
        entry["protocol"] = remote.protocol
    if not remote.public:
        entry["auth_type"] = "tls"
    return entry


def _write(content: dict[str, Any]) -> None:
    import yaml

    replace_file(
        os.path.join(folder(), "config.yml"), yaml.safe_dump(content, sort_keys=True, allow_unicode=True)
    )


def replace_file(path: str, text: str) -> None:
    """Write the file, so that it is there whole, as before or as after."""
    fresh = f"{path}.{os.getpid()}"
    with open(fresh, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(fresh, path)


# --- certificates ------------------------------------------------------------------------------


def check_name(name: str) -> None:
    """ApiError unless a remote can have this name: it is also that of a file, and ends at a colon."""
    if (
        not name
        or len(name) > LONGEST_NAME
        or name[0] in ".-"
        or set(name) & set("/:")
        or not name.isprintable()
    ):
        raise ApiError(f'"{name[:LONGEST_NAME]}" cannot be the name of a remote')


def pin_path(name: str) -> str:
    """The file of the certificate that the remote must show."""
    check_name(name)
    return os.path.join(folder(), "servercerts", f"{name}.crt")


def pinned(name: str) -> str | None:
    """The certificate (PEM) that the remote must show; None if none is kept."""
    try:
        with open(pin_path(name)) as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ApiError(f'cannot read "{pin_path(name)}": {error.strerror}') from None


def pin(name: str, pem: str | None) -> None:
    """Keep (None: forget) the certificate that the remote must show."""
    path = pin_path(name)
    if pem is None:
        if os.path.exists(path):
            os.unlink(path)
        return
    os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
    replace_file(path, pem)


def authority() -> str | None:
    """The file of the authority that all servers must come from (PKI mode); None: that is not asked for."""
    path = os.path.join(folder(), "client.ca")
    return path if os.path.exists(path) else None


def identity() -> tuple[str, str]:
    """The files of our own certificate and its key; they need not exist."""
    return os.path.join(folder(), "client.crt"), os.path.join(folder(), "client.key")


def has_identity() -> bool:
    """Whether both exist."""
    return all(os.path.exists(path) for path in identity())


def make_identity() -> None:
    """Make our certificate; ApiError if a half of it exists or it cannot be written."""
    import getpass
    from pathlib import Path

    from wardian.linux import keypair

    certificate, key = (Path(path) for path in identity())
    if certificate.exists():
        raise ApiError(f'"{key}" is missing; put it back, or remove "{certificate}" to have a new pair made')
    try:
        os.makedirs(folder(), mode=0o750, exist_ok=True)
        subject = keypair.Subject(f"{getpass.getuser()}@{os.uname().nodename}", server=False)
        keypair.create(certificate, key, subject)
    except OSError as error:
        raise ApiError(f'cannot write "{certificate}": {error.strerror}') from None
