"""lxc image build: an image out of a recipe, each step a snapshot that the next build begins with.

The steps are made in a container of their own (`build-NAME`), which stays, stopped, for the next build.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
import time

from wardian.cli import editor, exec, file, image_fetch, publish, tree
from wardian.cli.create import source_of
from wardian.cli.options import Values
from wardian.cli.session import Session, container_url, need
from wardian.client.connection import ApiError
from wardian.errors import InvalidInput
from wardian.model import recipe as recipes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, BinaryIO

    from wardian.model.recipe import File, Recipe, Step

MARK, RESULT = "user.build.recipe", "user.build.result"
"""Keys of the container: whose it is; key of the last step and fingerprint of the image made of it."""
STEP = "step-"
CHUNK = 1 << 20
ADDRESS_S = 60
LOOKS_AGAIN_S = 0.1

INSTALL = """
if command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q && apt-get install -y -q --no-install-recommends -- "$@" && apt-get clean
elif command -v apk >/dev/null; then apk add --no-cache -- "$@"
elif command -v dnf >/dev/null; then dnf install -y -- "$@" && dnf clean all
elif command -v zypper >/dev/null; then zypper --non-interactive install -- "$@" && zypper clean
elif command -v pacman >/dev/null; then pacman -Sy --noconfirm --needed -- "$@"
else echo "there is no package manager that is known here" >&2; exit 127
fi
"""


def build(session: Session, values: Values, words: list[str]) -> None:
    """Make the image of a recipe, as far as it is not made yet, and name it."""
    need(words, 1, 2)
    where = words[1] if len(words) > 1 else f"{session.config.default}:"
    if session.config.split(where)[1]:
        raise ApiError('give the remote alone, as in "host2:"; the recipe or --alias names the image')
    recipe = read(words[0])
    builder = Builder(session, where, recipe, os.path.dirname(words[0]) or ".")
    daemon = builder.daemon
    fingerprint = builder.build(source_of(session, daemon, recipe.base, [where]), fresh=values.no_cache)
    for alias in (*recipe.aliases, *values.alias):
        image_fetch.move_alias(daemon, alias, fingerprint)
    print(f"Image built with fingerprint: {fingerprint}")


def read(path: str) -> Recipe:
    """The recipe in a file; ApiError saying what is wrong with it."""
    try:
        with open(path) as opened:
            content = editor.load(opened.read(editor.YAML_BYTES + 1))
        return recipes.parse(content, os.path.basename(path).partition(".")[0])
    except OSError as error:
        raise ApiError(f'cannot read "{path}": {error.strerror}') from None
    except (InvalidInput, UnicodeDecodeError) as error:
        raise ApiError(f'recipe "{path}": {error}') from None


class Builder:
    """One build. where: `remote:`; folder: in which the sources of the recipe's files are looked for."""

    def __init__(self, session: Session, where: str, recipe: Recipe, folder: str) -> None:
        self.daemon, _ = session.server(where)
        self._session, self._where, self._recipe, self._folder = session, where, recipe, folder
        self._name = recipe.container

    def build(self, source: dict[str, str], *, fresh: bool) -> str:
        """The fingerprint of the image. source: where the base comes from. fresh: use nothing of before."""
        keys = recipes.keys(self._recipe, lambda path: digest(os.path.join(self._folder, path)))
        container = self._container()
        if container is not None and (fresh or self._is_outdated(container, source, keys)):
            self._remove()
            container = None
        if container is None:
            self._create(source, keys[0])
        else:
            key, _, fingerprint = container["config"].get(RESULT, "").partition(" ")
            if key == keys[-1] and self._has_image(fingerprint):
                print("Nothing has changed since the last build.")
                return str(fingerprint)
        self._make_steps(keys)
        return self._publish(keys[-1])

    # --- the container -------------------------------------------------------------------------

    def _container(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self.daemon.get(container_url(self._name))
        except ApiError as error:
            if error.code != 404:
                raise
            return None
        if found["config"].get(MARK) != self._recipe.name:
            raise ApiError(
                f'container "{self._name}" is in the way, and was not made by `lxc image build`; '
                "rename it, or give the recipe another name"
            )
        return found

    def _is_outdated(self, container: dict[str, Any], source: dict[str, str], keys: Sequence[str]) -> bool:
        """Whether nothing of the container can be used: its base is another one than it would be now."""
        if f"{STEP}{keys[0]}" not in self._snapshots():
            return True
        wanted = self._base_fingerprint(source)
        return bool(wanted) and wanted != container["config"].get("volatile.base_image")

    def _base_fingerprint(self, source: dict[str, str]) -> str:
        """The image that the base is now; "" where only the daemon could tell."""
        if prefix := source.get("fingerprint"):
            if "server" in source:
                return prefix
            image: str = self.daemon.get(f"/1.0/images/{prefix}")["fingerprint"]
            return image
        if source.get("protocol") != "simplestreams":
            return ""
        from wardian.client import simplestreams

        remote, name = self._session.config.split(self._recipe.base)
        return simplestreams.find(remote, name or "default")[1].fingerprint

    def _remove(self) -> None:
        self._stop()
        self._session.run(self.daemon, "DELETE", container_url(self._name), quiet=True)

    def _create(self, source: dict[str, str], key: str) -> None:
        print(f"Base: {self._recipe.base}")
        request: dict[str, Any] = {
            "name": self._name,
            "source": source,
            "config": {**self._recipe.config, MARK: self._recipe.name},
        }
        if self._recipe.profiles is not None:
            request["profiles"] = list(self._recipe.profiles)
        self._session.run(self.daemon, "POST", "/1.0/containers", request)
        self._snapshot(key)

    def _snapshots(self) -> list[str]:
        found = self.daemon.get(container_url(self._name, "snapshots"))
        return [url.rpartition("/")[2] for url in found]

    def _snapshot(self, key: str) -> None:
        request = {"name": f"{STEP}{key}"}
        self._session.run(self.daemon, "POST", container_url(self._name, "snapshots"), request, quiet=True)

    def _state(self, **change: Any) -> None:
        self._session.run(self.daemon, "PUT", container_url(self._name, "state"), change, quiet=True)

    def _is_running(self) -> bool:
        return bool(self.daemon.get(container_url(self._name))["status"] == "Running")

    def _start(self) -> None:
        if not self._is_running():
            self._state(action="start", timeout=-1)

    def _stop(self) -> None:
        if self._is_running():
            try:
                self._state(action="stop", timeout=60)
            except ApiError:
                self._state(action="stop", timeout=-1, force=True)

    # --- steps ---------------------------------------------------------------------------------

    def _make_steps(self, keys: Sequence[str]) -> None:
        """Go on after the last step that was made before; what no chain needs any more goes."""
        present = self._snapshots()
        done = next(n for n in reversed(range(len(keys))) if f"{STEP}{keys[n]}" in present)
        total = len(self._recipe.steps)
        for number in range(1, done + 1):
            print(f"Step {number}/{total}: {self._recipe.steps[number - 1].title} (as before)")
        self._stop()
        restored = {"restore": f"{STEP}{keys[done]}"}
        self._session.run(self.daemon, "PUT", container_url(self._name), restored, quiet=True)
        for number in range(done + 1, total + 1):
            step = self._recipe.steps[number - 1]
            print(f"Step {number}/{total}: {step.title}", flush=True)
            self._start()
            self._make(step, number)
            if number == total:
                self._stop()
            self._snapshot(keys[number])
        for name in self._snapshots():
            if name.startswith(STEP) and name.removeprefix(STEP) not in keys:
                url = container_url(self._name, "snapshots", name)
                self._session.run(self.daemon, "DELETE", url, quiet=True)

    def _make(self, step: Step, number: int) -> None:
        if step.files:
            for wanted in step.files:
                self._send(wanted)
            return
        if step.packages:
            self._wait_for_network()
            command = ["sh", "-c", INSTALL, "install", *step.packages]
        else:
            command = list(step.run)
        request = {
            "command": command,
            "environment": dict(step.environment),
            "wait-for-websocket": True,
            "interactive": False,
        }
        status = exec.attached(self.daemon, self._name, request, stdin=False)
        if status:
            raise ApiError(
                f"step {number} ({step.title}) ended with status {status}; "
                f"`lxc exec {self._name} -- sh` shows how it left the system, "
                "and the next build goes on from the step before"
            )

    def _wait_for_network(self) -> None:
        """Until the container has an address, if it has an interface to get one on."""
        about = self.daemon.get(container_url(self._name))
        if not any(device["type"] == "nic" for device in about["expanded_devices"].values()):
            return
        deadline = time.monotonic() + ADDRESS_S
        while time.monotonic() < deadline:
            network = self.daemon.get(container_url(self._name, "state"))["network"] or {}
            addresses = (a for interface in network.values() for a in interface["addresses"])
            if any(address["scope"] == "global" for address in addresses):
                return
            time.sleep(LOOKS_AGAIN_S)  # it happens in another system: there is no event to wait on
        raise ApiError(f'container "{self._name}" has no address after {ADDRESS_S} s; see `lxc list`')

    def _send(self, wanted: File) -> None:
        target = self._place(wanted.path)
        folder, _, name = wanted.path.rpartition("/")
        file.make_folders(target, folder)
        owner = {"uid": wanted.uid, "gid": wanted.gid}
        source = os.path.join(self._folder, wanted.source)
        if wanted.source and os.path.isdir(source):
            if wanted.mode is not None:
                raise ApiError(f'"{wanted.source}" is a folder: its files keep their modes')
            tree.push([source], self._place(f"{folder}/"), create=True, owner=owner, name=name)
            return
        if wanted.text is not None:
            with tempfile.TemporaryFile() as written:
                written.write(wanted.text.encode())
                written.seek(0)
                self._send_file(target, written, 0o644 if wanted.mode is None else wanted.mode, owner)
            return
        try:
            with open(source, "rb", buffering=0) as opened:
                mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
                self._send_file(target, opened, mode if wanted.mode is None else wanted.mode, owner)
        except OSError as error:
            raise ApiError(f'cannot read "{source}": {error.strerror}') from None

    def _place(self, path: str) -> file.Path:
        return file.Path(self._session, f"{self._where}{self._name}{path}", "target")

    def _send_file(self, target: file.Path, content: BinaryIO, mode: int, owner: dict[str, int]) -> None:
        headers = {f"X-LXD-{name}": str(value) for name, value in owner.items()}
        headers |= {"X-LXD-mode": f"{mode:04o}", "X-LXD-type": "file"}
        file.send(self.daemon, target.url(), content, headers)

    # --- the image -----------------------------------------------------------------------------

    def _has_image(self, fingerprint: str) -> bool:
        try:
            return bool(fingerprint) and bool(self.daemon.get(f"/1.0/images/{fingerprint}"))
        except ApiError as error:
            if error.code != 404:
                raise
            return False

    def _publish(self, key: str) -> str:
        request = {
            "source": {"type": "snapshot", "name": f"{self._name}/{STEP}{key}"},
            "public": self._recipe.public,
            "properties": dict(self._recipe.properties) or None,
        }
        fingerprint = publish.make(self._session, self.daemon, request, may_exist=True)
        result = {"config": {RESULT: f"{key} {fingerprint}"}}
        self.daemon.request("PATCH", container_url(self._name), result)
        return fingerprint


def digest(path: str) -> str:
    """The sha256 of a file or folder: of names, modes, links and content; ApiError if it is not there."""
    found = hashlib.sha256()
    try:
        _add(found, path, "")
    except OSError as error:
        raise ApiError(f'cannot read "{error.filename or path}": {error.strerror}') from None
    return found.hexdigest()


def _add(found: hashlib._Hash, path: str, name: str) -> None:
    # The source itself may be a link; links below it are sent as links.
    about = os.lstat(path) if name else os.stat(path)
    kind = stat.S_IFMT(about.st_mode)
    found.update(
        f"{len(name)} {name} {kind} {stat.S_IMODE(about.st_mode)}\n".encode("utf-8", "surrogateescape")
    )
    if stat.S_ISDIR(about.st_mode):
        for entry in sorted(os.listdir(path)):
            _add(found, os.path.join(path, entry), f"{name}/{entry}")
    elif stat.S_ISLNK(about.st_mode):
        found.update(os.fsencode(os.readlink(path)) + b"\n")
    elif stat.S_ISREG(about.st_mode):
        found.update(f"{about.st_size}\n".encode())
        with open(path, "rb") as opened:
            while piece := opened.read(CHUNK):
                found.update(piece)
    else:
        sys.stderr.write(f'"{path}" is no file, folder or link; it is left out\n')
