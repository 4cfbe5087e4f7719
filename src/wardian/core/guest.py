"""What a container may know of itself, through /dev/lxd in it (spec/rest-api.md section 21).

It sees its `user.*` and `cloud-init.*` keys; core/guest_doors.py tells of their changes.
"""

from wardian.core import containers
from wardian.core.guest_doors import is_shown
from wardian.core.host import Host
from wardian.errors import Forbidden, HostFailed, NotFound, Unauthorized
from wardian.linux import peers

ROOT = 0


def admit(host: Host, name: str, pid: int, uid: int) -> None:
    """Refuse a process that is not of this container, or not of its root."""
    started = host.running.get(name)
    if started is None or not peers.is_inside(pid, started.init_pid):
        raise HostFailed("pid not in container?")
    if peers.id_inside(started.init_pid, uid) != ROOT:
        raise Unauthorized("Access denied for non-root user")


async def config(host: Host, name: str) -> dict[str, str]:
    """The keys that the container may read, as merged with its profiles."""
    merged = await containers.expanded(host, await containers.get(host, name))
    return {key: value for key, value in sorted(merged.config.items()) if is_shown(key)}


async def value(host: Host, name: str, key: str) -> str:
    """One of them; Forbidden for any other key, NotFound if it is not set."""
    if not is_shown(key):
        raise Forbidden("not authorized")
    found = (await config(host, name)).get(key)
    if found is None:
        raise NotFound("not found")
    return found


async def meta_data(host: Host, name: str) -> str:
    """What cloud-init reads first."""
    more = (await config(host, name)).get("user.meta-data", "")
    return f"#cloud-config\ninstance-id: {name}\nlocal-hostname: {name}\n{more}"
