"""Assembles a Host: the only place that names concrete drivers."""

import asyncio
import functools
import logging
import os
import platform
from collections.abc import Callable

from wardian.core import files
from wardian.core.events import Events
from wardian.core.host import Host, Machine
from wardian.core.lifecycle import Watcher
from wardian.core.operations import Operations
from wardian.daemon.host_ids import default_idmap
from wardian.drivers import devices
from wardian.drivers.bridge import Bridges
from wardian.drivers.downloads import WebDownloads
from wardian.drivers.downloads.peers import WebPeers
from wardian.drivers.files.service import HelperFiles
from wardian.drivers.hotplug import KernelHotplug
from wardian.drivers.netwatch import NetWatch
from wardian.drivers.rootfs import ConfinedRootfs
from wardian.drivers.runtime.lxc import Lxc
from wardian.drivers.storage import Drivers
from wardian.linux import cgroups, process
from wardian.linux.authority import Authority
from wardian.model import architectures, limits
from wardian.model.paths import Paths
from wardian.ports.guests import Guests
from wardian.ports.listener import Listener
from wardian.store.records import Records
from wardian.store.sqlite import SqliteStore

log = logging.getLogger(__name__)


def make_folders(paths: Paths) -> None:
    """The folders of a daemon with the modes of spec/behaviour.md section 1."""
    for folder, mode in (
        (paths.root, 0o711),
        (paths.containers, 0o711),
        (paths.snapshots, 0o700),
        (paths.pools, 0o711),
        (paths.devices, 0o711),
        (paths.images, 0o700),
        (paths.backups, 0o700),
        (paths.disks, 0o700),
        (paths.networks, 0o711),
        (paths.devlxd, 0o711),
        (paths.security, 0o700),
        (paths.logs, 0o700),
        (paths.cache, 0o700),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(mode)


async def build(
    paths: Paths, listener: Listener, guests: Guests, *, stop: Callable[[], None], log_level: str
) -> Host:
    """Everything that the use cases need, not yet started. HostFailed if the store cannot be opened."""
    events = Events()
    store, version = await asyncio.gather(SqliteStore.open(paths.database), liblxc_version())
    host = Host(
        paths=paths,
        records=Records(store),
        events=events,
        operations=Operations(events),
        runtime=Lxc(paths, version, log_level=log_level),
        storage=Drivers(paths),
        bridge=Bridges(paths),
        rootfs=ConfinedRootfs(),
        files=HelperFiles(),
        guests=guests,
        downloads=WebDownloads(paths.cache / "streams"),
        peers=WebPeers(),
        addresses=NetWatch(),
        hotplug=KernelHotplug(),
        listener=listener,
        devices=devices.drivers(paths),
        idmap=default_idmap(),
        machine=_machine(),
        stop=stop,
        authority=Authority(paths.authority, paths.revoked) if paths.authority.exists() else None,
    )
    host.watcher = Watcher(host)
    host.operations.before_action = functools.partial(files.before_action, host)
    if host.authority is not None:
        log.info("LXD is in CA mode, only CA-signed certificates will be allowed")
    if host.idmap is None:
        log.warning(
            "LXD doesn't have a uid/gid allocation. In this mode, only privileged containers are supported."
        )
    return host


async def liblxc_version() -> str:
    """The version of the installed liblxc programs; HostFailed if they are missing."""
    return (await process.check("run lxc-start", ["lxc-start", "--version"])).decode().strip()


def _machine() -> Machine:
    name = platform.uname()
    return Machine(
        architectures=architectures.native(name.machine),
        kernel=name.system,
        kernel_version=name.release,
        memory_total=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        control_files=_control_files(),
    )


def _control_files() -> frozenset[str]:
    kind = cgroups.kind_of()
    try:
        files = cgroups.present(limits.UNSET[kind])
    except OSError as e:
        log.warning("cannot look at the host's cgroups, and take them to be complete: %s", e)
        return frozenset(limits.UNSET[kind])
    ignored = limits.ignored_keys(limits.CgroupHost(kind, memory_total=0, cpus=(0,), files=files))
    if ignored:
        log.warning("this kernel lacks the control files for %s: they are ignored", ", ".join(ignored))
    return files
