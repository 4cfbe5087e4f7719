"""Editing an object as YAML: in an editor that comes back with the error, or from a pipe."""

from __future__ import annotations

import os
import sys

from wardian.cli import output
from wardian.client.connection import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

EDITORS = ("editor", "vi", "emacs", "nano")
YAML_BYTES = 1024 * 1024
ERROR = "### Error:"
SHOWN_BESIDE = frozenset(
    (
        *("name", "type", "description", "architecture", "status", "status_code", "stateful", "managed"),
        *("created_at", "last_used_at", "expires_at", "used_by", "location", "locations", "project"),
        *("expanded_config", "expanded_devices", "profiles", "driver", "pool", "content_type"),
    )
)
"""What `show`, here or of another version, may print beside what can be changed: it can stay in the text."""
SERVER = """This is the configuration of the server, as YAML. A sample:

config:
  core.https_address: '[::]:8443'
  images.remote_cache_expiry: "5"
"""
CONTAINER = """This is the configuration of a container, as YAML. A sample:

name: c1
profiles:
- default
config:
  limits.memory: 1GB
  security.nesting: "true"
devices:
  www:
    path: /var/www
    source: /srv/www
    type: disk
ephemeral: false

The name is shown, and cannot be changed here.
"""
PROFILE = """This is a profile, as YAML: keys and devices of all containers that use it. A sample:

config:
  limits.cpu: "2"
description: two processors and a network
devices:
  eth0:
    nictype: bridged
    parent: lxdbr0
    type: nic

The name cannot be changed here; `lxc profile rename` does.
"""
IMAGE = """This is what can be changed of an image, as YAML. A sample:

auto_update: false
properties:
  description: my web server
  os: debian
public: false
"""
POOL = """This is the configuration of a storage pool, as YAML. A sample:

description: on the fast disk
config:
  size: 40GB
"""
VOLUME = """This is the configuration of a storage volume, as YAML. A sample:

description: web pages
config:
  size: 5GB
"""
NETWORK = """This is the configuration of a network, as YAML. A sample:

description: for the web servers
config:
  ipv4.address: 10.62.42.1/24
  ipv4.nat: "true"
  ipv6.address: none
"""
METADATA = """This is the metadata.yaml of a container, as YAML: what an image made of it will say. A sample:

architecture: x86_64
creation_date: 1458432000
properties:
  description: my web server
templates:
  /etc/hostname:
    template: hostname.tpl
    when:
    - create
    - copy
"""
CERTIFICATE = """\
This is what a client may do here. A sample, of one that may only use two containers as they are set up:

  name: laptop
  type: client
  read_only: false
  containers:
  - c1
  - c2

With "containers: null" it may use all; with "read_only: true" it may only look.
"""
"""What the editor shows above each kind of object."""


def load(text: str, read: Callable[[str], Any] | None = None) -> dict[str, Any]:
    """The map that the text is; ApiError saying what is wrong. read: in place of YAML's own reader."""
    import yaml

    if len(text) > YAML_BYTES:
        raise ApiError("the YAML is larger than 1 MiB")
    try:
        found = read(text) if read else yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ApiError(f"the YAML is not valid: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise ApiError("the YAML is not a map")
    return found


def load_object(text: str, known: Collection[str]) -> dict[str, Any]:
    """An object of the API, its keys' values as text; ApiError if it has parts that are not known."""
    from wardian.model import written

    wanted = load(text, written.parse)
    if unknown := sorted(str(part) for part in set(wanted) - {*known, *SHOWN_BESIDE}):
        raise ApiError(f'unknown key "{unknown[0]}"; there are {", ".join(sorted(known))}')
    return wanted


def edit(
    present: dict[str, Any],
    about: str,
    apply: Callable[[dict[str, Any]], None],
    *,
    again: str = "start",
    read: Callable[[str], dict[str, Any]] | None = None,
) -> None:
    """Let the user change the object and apply it; on a mistake the editor opens again.

    about: what it is and a sample, shown above as a comment. again: the verb for that. read: what makes an
    object of the text; if not said, one of the API with the parts that are there now.
    """
    read = read or (lambda text: load_object(text, present))
    if not sys.stdin.isatty():
        apply(read(sys.stdin.read()))
        return
    import subprocess
    import tempfile

    lines = [*about.splitlines(), "", "Lines that start with # are ignored."]
    comment = "".join(f"### {line}".rstrip() + "\n" for line in lines) + "\n"
    text = comment + output.yaml(present)
    with tempfile.NamedTemporaryFile("w+", prefix="lxd_editor_", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        while True:
            if subprocess.run([*_editor(), file.name], check=False).returncode:
                raise ApiError("the editor ended with an error; nothing was changed")
            try:
                with open(file.name) as edited:
                    apply(read(edited.read()))
                return
            except ApiError as error:
                sys.stderr.write(f"Config parsing error: {error}\n")
                print(f"Press enter to {again} the editor again", flush=True)
                if not sys.stdin.readline():
                    raise
                _note(file.name, str(error))


def _note(path: str, error: str) -> None:
    """Begin the user's text with the error that it led to, in place of an earlier one."""
    with open(path) as edited:
        lines = [line for line in edited.read().splitlines(keepends=True) if not line.startswith(ERROR)]
    with open(path, "w") as noted:
        noted.write("".join([*(f"{ERROR} {line}\n" for line in error.splitlines()), *lines]))


def piped() -> str:
    """What is there on standard input, without waiting for it; nothing from a terminal."""
    import os
    import select
    import stat

    mode = os.fstat(sys.stdin.fileno()).st_mode
    is_file = stat.S_ISREG(mode) or (stat.S_ISFIFO(mode) and bool(select.select([sys.stdin], [], [], 0)[0]))
    return sys.stdin.read() if is_file else ""


def edit_file(path: str) -> None:
    """Open the user's editor on a file; ApiError if it ends with an error."""
    import subprocess

    if subprocess.run([*_editor(), path], check=False).returncode:
        raise ApiError("the editor ended with an error; nothing was changed")


def _editor() -> list[str]:
    import shlex
    import shutil

    for variable in ("VISUAL", "EDITOR"):
        if os.environ.get(variable):
            return shlex.split(os.environ[variable])
    for name in EDITORS:
        if shutil.which(name):
            return [name]
    raise ApiError("No text editor found, please set the EDITOR environment variable.")
