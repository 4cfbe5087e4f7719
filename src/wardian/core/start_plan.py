"""What the runtime needs for a container, as a value: from its configuration and its devices."""

from collections.abc import Mapping

from wardian.core import device_plugs, limits, owners
from wardian.core.containers import Expanded, volume
from wardian.core.host import Host
from wardian.model import confinement, expand, kernel_limits, keys
from wardian.model.container import Container
from wardian.model.idmap import IdMap
from wardian.model.plans import DevicePlan, Mount, Plug
from wardian.model.units import is_true
from wardian.ports.runtime import StartPlan


def of(
    host: Host, container: Container, merged: Expanded, wanted: IdMap, plugs: Mapping[str, Plug]
) -> StartPlan:
    """The plan of a container with this merged configuration, id map and these devices."""
    config = merged.config
    storage = host.storage.get(container.pool)
    _, root = expand.root_device(merged.devices)
    folder = str(host.guests.folder(container.name))
    devlxd = Mount(folder, folder, "dev/lxd", is_folder=True)
    return StartPlan(
        name=container.name,
        architecture=container.architecture,
        rootfs=storage.path(volume(container.name)) / "rootfs",
        idmap=wanted,
        shifted=bool(owners.on_disk(container).ranges),
        read_only=is_true(root.get("readonly", "")),
        confinement=confinement.of(config),
        kernel_limits=kernel_limits.limits_of(config),
        sysctls=kernel_limits.sysctls_of(config),
        environment={k.removeprefix("environment."): v for k, v in keys.under(config, "environment.")},
        stateful=keys.is_on(config, "migration.stateful"),
        settings=[*limits.settings(host, config), *device_plugs.settings(host, plugs)],
        devices=[*(plug.plan for plug in plugs.values()), DevicePlan(mounts=(devlxd,))],
        raw=config.get("raw.lxc", ""),
    )
