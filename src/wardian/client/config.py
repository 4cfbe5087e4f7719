"""The client's files: `config.yml` with remotes and aliases (spec/cli.md section 3)."""

from __future__ import annotations

import os

from wardian.client.connection import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


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


class Config:
    """What the user configured; the defaults where nothing is said."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.default = str(content.get("default-remote") or "local")
        self.aliases = {str(k): str(v) for k, v in (content.get("aliases") or {}).items()}
        self.remotes = {remote.name: remote for remote in DEFAULTS}
        for name, entry in (content.get("remotes") or {}).items():
            if name not in self.remotes or not self.remotes[name].static:
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
    return os.environ.get("LXD_CONF") or os.path.join(os.path.expanduser("~"), ".config", "lxc")


def load(*, ignore_file: bool = False) -> Config:
    """The configuration; ApiError if the file is broken."""
    path = os.path.join(folder(), "config.yml")
    if ignore_file or not os.path.exists(path):
        return Config({})
    import yaml

    try:
        with open(path) as file:
            content = yaml.safe_load(file) or {}
    except (OSError, yaml.YAMLError) as error:
        raise ApiError(f'cannot read "{path}": {error}') from None
    if not isinstance(content, dict):
        raise ApiError(f'"{path}" is not a map')
    return Config(content)
