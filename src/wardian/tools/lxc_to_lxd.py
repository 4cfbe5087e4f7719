"""`lxc-to-lxd`: containers of plain liblxc (/var/lib/lxc) become containers of the daemon."""

import argparse
import asyncio
import hashlib
import os
import shutil
import sys
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import yaml

from wardian import __version__, programs
from wardian.client.connection import ApiError, Connection, UnixPlace, envelope, quote, socket_path
from wardian.daemon.host_ids import default_idmap
from wardian.drivers.rootfs import pack, unpack
from wardian.errors import InvalidInput, WardianError
from wardian.linux import userns
from wardian.model import backup, names
from wardian.model.container import Container
from wardian.model.idmap import IdMap
from wardian.ports.rootfs import PackedFile, PackedTree
from wardian.tools import lxc_settings
from wardian.tools.lxc_conversion import Conversion, convert

LXCPATH = "/var/lib/lxc"
DONE = 200
FILE_BYTES = 1024 * 1024
EPILOG = """\
The containers must be stopped. They get the profile "default", with a configuration of their own that is
made of theirs; one with a setting that has no counterpart is left alone, and the setting named.

examples:
  lxc-to-lxd --all --dry-run         what would become of all containers
  lxc-to-lxd web db                  import two, and keep them
  lxc-to-lxd --delete web            and delete it in /var/lib/lxc once it is imported
"""


@dataclass
class Job:
    """What all containers have in common."""

    lxcpath: Path
    daemon: Connection
    options: argparse.Namespace


def parser() -> programs.Parser:
    """The grammar of the command line."""
    made = programs.Parser(
        prog="lxc-to-lxd", description="Import containers of plain liblxc into the daemon.", epilog=EPILOG
    )
    made.add_argument("containers", metavar="CONTAINER", nargs="*", help="names")
    made.add_argument("--all", action="store_true", help="all containers below the path")
    made.add_argument("--dry-run", action="store_true", help="show what would be made, change nothing")
    made.add_argument("--delete", action="store_true", help="delete each one once it is imported")
    made.add_argument(
        "--move-rootfs", action="store_true", help="delete its files, but not its configuration"
    )
    made.add_argument("--lxcpath", metavar="P", default=LXCPATH, help=f"where they are ({LXCPATH})")
    made.add_argument(
        "--lxdpath", metavar="P", default="", help="folder of the daemon ($LXD_DIR, or /var/lib/lxd)"
    )
    made.add_argument("--debug", action="store_true", help="show each setting as it is read")
    made.add_argument("--version", action="version", version=__version__, help="print the version")
    return made


def main(arguments: list[str]) -> int:
    """Run the program; its exit status. WardianError or ApiError for what the user must be told."""
    options = parser().parse_args(arguments)
    if options.all == bool(options.containers):
        raise InvalidInput("name containers, or all of them with --all")
    if os.geteuid() != 0:
        raise WardianError("This must be run as root")
    path = os.path.join(options.lxdpath, "unix.socket") if options.lxdpath else socket_path()
    job = Job(Path(os.path.abspath(options.lxcpath)), Connection(UnixPlace(path)), options)
    job.daemon.get("/1.0")
    wanted = options.containers or _all(job.lxcpath)
    failed = 0
    for name in wanted:
        try:
            _import(job, name)
        except (WardianError, ApiError, OSError) as error:
            failed += 1
            said = f'"{error.filename}": {error.strerror}' if isinstance(error, OSError) else str(error)
            for line in said.splitlines():
                print(f"{name}: error: {line}", file=sys.stderr)
    if failed:
        raise WardianError(f"{failed} of {len(wanted)} containers cannot be imported")
    return 0


def _all(lxcpath: Path) -> list[str]:
    found = sorted(config.parent.name for config in lxcpath.glob("*/config"))
    if not found:
        print(f'there are no containers in "{lxcpath}"')
    return found


def _import(job: Job, name: str) -> None:
    names.check_container(name)
    made = _converted(job, name)
    if made.refused:
        raise InvalidInput("\n".join(made.refused))
    for line in made.notes:
        programs.note(f"{name}: {line}")
    if not Path(made.rootfs).is_dir():
        raise InvalidInput(f'its root file system "{made.rootfs}" is not a folder')
    _check_absent(job.daemon, name)
    _check_stopped(job.lxcpath, name)
    _check_snapshots(job, name)
    container = _container(made)
    if job.options.dry_run:
        shown: dict[str, Any] = {
            "name": name,
            "architecture": container.architecture,
            "profiles": container.profiles,
        }
        shown |= {"config": made.config, "devices": made.devices, "ephemeral": made.ephemeral}
        print(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True), end="")
        return
    print(f"Importing {name}", flush=True)
    _upload(job.daemon, container, made)
    _clean_up(job, made)


def _converted(job: Job, name: str) -> Conversion:
    file = job.lxcpath / name / "config"
    if not file.exists():
        raise InvalidInput(f'there is no "{file}"')
    settings = lxc_settings.read(file)
    if job.options.debug:
        for key, value in settings:
            print(f"{name}: {key} = {value}", file=sys.stderr)
    return convert(name, settings, _text)


def _text(path: str) -> str:
    with open(path, errors="replace") as file:
        return file.read(FILE_BYTES)


def _check_absent(daemon: Connection, name: str) -> None:
    try:
        daemon.get(f"/1.0/containers/{quote(name)}")
    except ApiError as error:
        if error.code == 404:
            return
        raise
    raise InvalidInput("the daemon has a container of this name already")


def _check_stopped(lxcpath: Path, name: str) -> None:
    """By the title of its monitor: liblxc's own tools do not read configurations with old names."""
    title = f"[lxc monitor] {lxcpath} {name}".encode()
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if words.rstrip(b"\0") == title:
            raise InvalidInput(f"it is running; stop it with `lxc-stop -P {lxcpath} -n {name}`")


def _check_snapshots(job: Job, name: str) -> None:
    if next((job.lxcpath / name / "snaps").glob("*"), None) is None:
        return
    if job.options.delete:
        raise InvalidInput(
            "it has snapshots, which are not imported; leave out --delete, or delete them first"
        )
    programs.note(f"{name}: its snapshots are not imported")


def _container(made: Conversion) -> Container:
    return Container(
        name=made.name,
        architecture=made.architecture or os.uname().machine,
        created_at=datetime.now(UTC),
        pool="",
        config=made.config,
        devices=made.devices,
        profiles=["default"],
        ephemeral=made.ephemeral,
    )


# --- the files ---------------------------------------------------------------------------------


def _upload(daemon: Connection, container: Container, made: Conversion) -> None:
    """Send it as what `lxc export` makes: the daemon checks all of it."""
    rootfs = Path(made.rootfs)
    index = backup.index_text(container, [], {"driver": "dir"})
    tree = PackedTree(rootfs.resolve(), ["."], f"{backup.CONTAINER}/rootfs")
    parts: list[PackedFile | PackedTree] = [PackedFile(backup.INDEX, index), tree]
    headers = {"Content-Type": "application/octet-stream", "Transfer-Encoding": "chunked"}
    with asyncio.Runner() as runner:
        mapping, mapped = runner.run(_map(made, rootfs))
        pieces = _framed(runner, pack.stream(parts, mapping, mapped=mapped))
        try:
            answer = envelope(daemon.send("POST", "/1.0/containers", pieces, headers))
        except WardianError:
            daemon.close()  # in the middle of the upload: the daemon throws away what it has
            raise
    finished = daemon.get(f"/1.0/operations/{answer['metadata']['id']}/wait")
    if finished["status_code"] != DONE:
        raise ApiError(finished["err"])


async def _map(made: Conversion, rootfs: Path) -> tuple[IdMap, bool]:
    """(the ids that read the files, whether through a mapped mount): so that root's are seen as 0."""
    if made.ranges:
        return IdMap.checked(made.ranges), False
    if await unpack.can_map(rootfs):
        return default_idmap() or IdMap(), True
    return userns.whole(), False


def _framed(runner: asyncio.Runner, stream: AsyncGenerator[bytes, None]) -> Iterator[bytes]:
    """The archive in the chunks of HTTP, sealed and ended; a failure leaves it without an end."""
    digest = hashlib.sha256()

    async def following() -> bytes:
        return await anext(stream, b"")

    while chunk := runner.run(following()):
        digest.update(chunk)
        yield _frame(chunk)
    yield _frame(pack.member(backup.SEAL, digest.hexdigest().encode()) + pack.END)
    yield b"0\r\n\r\n"


def _frame(chunk: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(chunk), chunk)


def _clean_up(job: Job, made: Conversion) -> None:
    if job.options.move_rootfs or job.options.delete:
        shutil.rmtree(made.rootfs)
    if job.options.delete:
        shutil.rmtree(job.lxcpath / made.name)


def run() -> NoReturn:
    """Entry point of the `lxc-to-lxd` program."""
    programs.run(main)
