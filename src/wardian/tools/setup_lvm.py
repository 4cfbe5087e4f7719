"""`lxd-setup-lvm-storage`: a volume group for the containers, on a file or a device, and back."""

import argparse
import os
import re
import shlex
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

from wardian import __version__, programs
from wardian.client.connection import Connection, UnixPlace, socket_path
from wardian.daemon.setup_pools import loop_size_gb
from wardian.errors import HostFailed, InvalidInput, WardianError
from wardian.linux import process
from wardian.model import units

GROUP, THINPOOL = "LXDStorage", "LXDPool"
KEY, THINPOOL_KEY = "storage.lvm_vg_name", "storage.lvm_thinpool_name"
TAG = "lxd-setup-lvm-storage"
"""Of the volume groups that were made here: no other is ever removed."""
PROGRAMS = ("vgcreate", "vgremove", "pvremove", "vgs", "lvs", "losetup", "thin_check")
NAME = re.compile(r"[A-Za-z0-9_.+][A-Za-z0-9_.+-]{0,100}")
LEAST_BYTES = 1 << 30
UNITS = Path("/etc/systemd/system")
SYSTEMD = Path("/run/systemd/system")
UNIT = """\
[Unit]
Description=The file with the LVM volume group {group} of containers
Before=lxd.service lxd-containers.service
RequiresMountsFor={file}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={losetup} --find {file}

[Install]
WantedBy=multi-user.target
"""
EPILOG = """\
Makes a volume group and has the daemon put new containers on it, by its keys storage.lvm_vg_name and
storage.lvm_thinpool_name. The thin pool takes all of it. With systemd, a file is attached at each boot.

examples:
  lxd-setup-lvm-storage --size 50GB           on a file in the daemon's folder
  lxd-setup-lvm-storage --device /dev/sdb     on a disk, whose content is lost
  lxd-setup-lvm-storage --destroy             once no container and no image is on it
"""


def parser() -> programs.Parser:
    """The grammar of the command line."""
    made = programs.Parser(
        prog="lxd-setup-lvm-storage", description="Put containers on LVM with thin volumes.", epilog=EPILOG
    )
    made.add_argument("-s", "--size", metavar="SIZE", help="of the file, e.g. 50GB (20%% of the disk)")
    made.add_argument("--device", metavar="DEV", help="a block device instead of a file")
    made.add_argument("--vg-name", metavar="NAME", default=GROUP, help=f"volume group ({GROUP})")
    made.add_argument("--thinpool-name", metavar="NAME", default=THINPOOL, help=f"thin pool ({THINPOOL})")
    made.add_argument("--destroy", action="store_true", help="unset the keys and remove what was made")
    made.add_argument("--version", action="version", version=__version__, help="print the version")
    return made


def main(arguments: list[str]) -> int:
    """Run the program; its exit status. WardianError or ApiError for what the user must be told."""
    options = parser().parse_args(arguments)
    for name in (options.vg_name, options.thinpool_name):
        if not NAME.fullmatch(name):
            raise InvalidInput(f'"{name}" cannot be a name in LVM')
    if options.size and options.device:
        raise InvalidInput("--size is about a file, and does not go with --device")
    if options.destroy and (options.size or options.device):
        raise InvalidInput("--destroy finds out itself where the volume group is")
    size = units.parse_size(options.size) if options.size else loop_size_gb() << 30
    if size < LEAST_BYTES:
        raise InvalidInput("a volume group for containers has 1GB at least")
    if os.geteuid() != 0:
        raise WardianError("This must be run as root")
    for name in PROGRAMS:
        process.program(name)
    daemon = Connection(UnixPlace())
    config = daemon.get("/1.0")["config"]
    if options.destroy:
        destroy(daemon, options.vg_name, config.get(KEY, ""))
        print(f"Removed the volume group {options.vg_name}")
    else:
        if present := config.get(KEY):
            raise InvalidInput(f'{KEY} is "{present}" already; `lxc config unset {KEY}` first')
        make(daemon, options, size)
        print(f"New containers are on the volume group {options.vg_name}")
    return 0


def image() -> Path:
    """The file of a volume group that has no device."""
    return Path(os.path.abspath(socket_path())).parent / "lvm.img"


def unit(group: str) -> Path:
    """The unit that attaches the file at each boot."""
    return UNITS / f"lxd-lvm-{group}.service"


def make(daemon: Connection, options: argparse.Namespace, size: int) -> None:
    """Make the group, and set the keys; nothing is left of it if a step fails."""
    group = options.vg_name
    if _lines("vgs", "-o", "vg_name", "--select", f"vg_name={group}"):
        raise InvalidInput(f'the volume group "{group}" exists; `lxc config set {KEY} {group}` uses it')
    with ExitStack() as undo:
        device = options.device or _attached(image(), size, undo)
        _lines("vgcreate", "--addtag", TAG, group, device)
        undo.callback(_remove_group, group)
        if not options.device:
            _attach_at_boot(group, undo)
        keys = {KEY: group} | ({THINPOOL_KEY: options.thinpool_name} if options.thinpool_name else {})
        daemon.request("PATCH", "/1.0", {"config": keys})
        undo.pop_all()


def _attached(file: Path, size: int, undo: ExitStack) -> str:
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise InvalidInput(f'"{file}" exists already; --destroy removes it with its volume group') from None
    undo.callback(file.unlink)
    os.truncate(fd, size)
    os.close(fd)
    (device,) = _lines("losetup", "--find", "--show", str(file))
    undo.callback(_lines, "losetup", "--detach", device)
    return device


def _attach_at_boot(group: str, undo: ExitStack) -> None:
    if not SYSTEMD.is_dir():
        programs.note(f"have `losetup --find {shlex.quote(str(image()))}` run at boot before the daemon")
        return
    undo.callback(unit(group).unlink, missing_ok=True)
    text = UNIT.format(group=group, file=image(), losetup=shutil.which("losetup"))
    unit(group).write_text(text)
    undo.callback(_lines, "systemctl", "disable", unit(group).name)
    _lines("systemctl", "enable", unit(group).name)


def destroy(daemon: Connection, group: str, used: str) -> None:
    """Unset the keys if they name the group, and remove it; InvalidInput if it is not one of ours."""
    tags = _lines("vgs", "-o", "vg_tags", "--select", f"vg_name={group}")
    if not tags:
        raise InvalidInput(f'there is no volume group "{group}"')
    if TAG not in tags[0].split(","):
        raise InvalidInput(f'the volume group "{group}" was not made by this program; vgremove removes it')
    if used == group:
        daemon.request("PATCH", "/1.0", {"config": {KEY: "", THINPOOL_KEY: ""}})
    if left := _lines("lvs", "-o", "lv_name", group):
        raise InvalidInput(f'the volume group "{group}" still has volumes: {", ".join(left)}')
    devices = _remove_group(group)
    file = image()
    for device in devices:
        if file.exists() and device in _lines("losetup", "-n", "-O", "NAME", "-j", str(file)):
            _lines("losetup", "--detach", device)
            file.unlink()
    if unit(group).exists():
        _lines("systemctl", "disable", unit(group).name)
        unit(group).unlink()


def _remove_group(group: str) -> list[str]:
    """Remove it; the devices that it was on."""
    devices = _lines("vgs", "-o", "pv_name", group)
    _lines("vgremove", "--yes", group)
    for device in devices:
        _lines("pvremove", "--yes", device)
    return devices


def _lines(program: str, *words: str) -> list[str]:
    """What a program prints, without blanks and empty lines; HostFailed with its last complaint."""
    reports = ("--noheadings",) if program in ("vgs", "lvs") else ()
    argv = [program, *reports, *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=process.ENVIRONMENT)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise HostFailed(
            f"{said[-1].strip() if said else f'status {done.returncode}'} (`{shlex.join(argv)}`)"
        )
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def run() -> NoReturn:
    """Entry point of the `lxd-setup-lvm-storage` program."""
    programs.run(main)
