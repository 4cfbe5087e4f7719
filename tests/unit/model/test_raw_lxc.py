"""raw.lxc: what users may set and what stays the daemon's."""

import pytest

from wardian.errors import InvalidInput
from wardian.model import raw_lxc


def test_it_is_read_as_liblxc_reads_it() -> None:
    text = "# comment\n\n  lxc.cap.drop = sys_time\nlxc.environment=A=b\n"
    assert raw_lxc.parse(text) == [("lxc.cap.drop", "sys_time"), ("lxc.environment", "A=b")]


@pytest.mark.parametrize(
    "line",
    [
        "lxc.network.0.ipv4 = auto",
        "lxc.network.1.ipv6.gateway = auto",
        "lxc.net.0.ipv6.address = auto",
        "lxc.init.cmd = /sbin/slow",
        "lxc.mount.entry = /srv srv none bind,create=dir 0 0",
        "lxc.mount.auto = cgroup:rw:force proc:mixed",
        "lxc.cgroup.memory.limit_in_bytes = 1",
        "lxc.cgroup2.memory.max = 1",
        "lxc.sysctl.net.ipv4.ip_forward = 1",
        "lxc.prlimit.nofile = 5",
        "lxc.hook.clone=/bin/true",
    ],
)
def test_what_leaves_the_confinement_alone_is_accepted(line: str) -> None:
    raw_lxc.parse(line)


@pytest.mark.parametrize(
    "line",
    [
        "lxc.apparmor.profile = unconfined",
        "lxc.cap.drop =",
        "lxc.cap.drop = none",
        "lxc.cap.keep = sys_admin",
        "lxc.cgroup.devices.allow = a",
        "lxc.cgroup2.devices.allow = a",
        "lxc.cgroup.dir = x",
        "lxc.cgroup2.../../x.y = 1",
        "lxc.console.logfile = /etc/shadow",
        "lxc.hook.pre-start = /bin/sh",
        "lxc.hook.version = 0",
        "lxc.idmap = u 0 0 65536",
        "lxc.include = /tmp/x",
        "lxc.log.level = trace",
        "lxc.monitor.unshare = 1",
        "lxc.mount.auto = proc:rw",
        "lxc.mount.auto = cgroup-full:rw",
        "lxc.namespace.share.net = 1",
        "lxc.rootfs.path = dir:/",
        "lxc.seccomp.profile = /dev/null",
        "lxc.sysctl.kernel.core_pattern = |/bin/sh",
        "LXC.Idmap = u 0 0 1",
        "lxc.nosuch = 1",
        "nosuch = 1",
        "a\tb\x0bc = 1",
        "lxc.environment = a\rlxc.idmap = u 0 0 1",
    ],
)
def test_what_would_undo_it_is_refused(line: str) -> None:
    with pytest.raises(InvalidInput):
        raw_lxc.parse(f"lxc.environment = A=b\n{line}\n")


def test_a_refusal_says_what_to_use_instead() -> None:
    with pytest.raises(InvalidInput, match=r'^Setting lxc.idmap is not allowed: use "raw.idmap"'):
        raw_lxc.parse("lxc.idmap = u 0 0 65536")


def test_addresses_of_nics_get_the_names_that_liblxc_has_now() -> None:
    text = (
        "lxc.network.0.ipv4 = 10.0.0.2/24\n LXC.network.1.ipv6.gateway=auto\n"
        "# lxc.network.0.ipv4 = a\nlxc.net.0.ipv4.gateway = auto"
    )
    assert raw_lxc.with_present_names(text) == (
        "lxc.net.0.ipv4.address = 10.0.0.2/24\nlxc.net.1.ipv6.gateway=auto\n"
        "# lxc.network.0.ipv4 = a\nlxc.net.0.ipv4.gateway = auto"
    )
