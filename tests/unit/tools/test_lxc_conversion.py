"""What containers of plain liblxc become: their configuration, and what of it is refused."""

from pathlib import Path

import pytest

from wardian.errors import InvalidInput
from wardian.model.idmap import IdRange
from wardian.tools import lxc_settings
from wardian.tools.lxc_conversion import Conversion, convert

OLD = """\
# as liblxc 1 wrote it
lxc.include = /usr/share/lxc/config/debian.common.conf
lxc.include = /usr/share/lxc/config/nesting.conf
lxc.include = {folder}/mine.conf
lxc.rootfs = /srv/web
lxc.rootfs.backend = dir
lxc.utsname = "web"
lxc.arch = amd64
lxc.haltsignal = SIGUSR1
lxc.id_map = u 0 100000 65536
lxc.id_map = g 0 100000 65536
lxc.network.type = veth
lxc.network.link = lxcbr0
lxc.network.flags = up
lxc.network.hwaddr = 00:16:3e:01:02:03
lxc.network.ipv4 = 10.0.3.7/24
lxc.network.type = veth
lxc.network.veth.pair = vethweb
lxc.start.auto = 1
lxc.start.order = 7
lxc.aa_profile = lxc-container-default
lxc.limit.nofile = 100:200
lxc.mount = {folder}/fstab
lxc.cgroup.memory.limit_in_bytes = 256M
lxc.cgroup.cpuset.cpus = 1
lxc.cgroup.devices.deny = a
lxc.cgroup.devices.allow = c 1:3 rwm
lxc.cap.drop = sys_module mac_admin
lxc.cap.drop = sys_nice
"""
FSTAB = """\
# the host's
proc proc proc nodev 0 0
/srv/my\\040data srv/data none bind,ro,optional,create=dir 0 0
/srv/tree /srv/web/tree none rbind 0 0
tmpfs tmp tmpfs size=3M 0 0
"""


def converted(text: str) -> Conversion:
    settings = [tuple(part.strip() for part in line.split("=", 1)) for line in text.splitlines() if line]
    return convert(
        "web", [(key, value) for key, value in settings], lambda path: "2\ndenylist\nkexec_load\n"
    )


def test_an_old_configuration_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(OLD.format(folder=tmp_path))
    (tmp_path / "fstab").write_text(FSTAB)
    (tmp_path / "mine.conf").write_text("lxc.environment = A=b c\nlxc.sysctl.net.ipv4.ip_forward = 1\n")
    settings = lxc_settings.read(tmp_path / "config")
    made = convert("web", settings, lambda path: Path(path).read_text())
    assert (made.refused, made.rootfs, made.architecture) == ([], "/srv/web", "x86_64")
    assert made.ranges == [IdRange("uid", 0, 100000, 65536), IdRange("gid", 0, 100000, 65536)]
    assert made.config == {
        "boot.autostart": "true",
        "boot.autostart.priority": "7",
        "environment.A": "b c",
        "limits.cpu": "1-1",
        "limits.kernel.nofile": "100:200",
        "limits.memory": "256MB",
        "linux.sysctl.net.ipv4.ip_forward": "1",
        "raw.lxc": "lxc.signal.halt = SIGUSR1\n"
        "lxc.mount.entry = tmpfs tmp tmpfs size=3M 0 0\n"
        "lxc.cap.drop = sys_nice\n"
        "lxc.net.0.ipv4.address = 10.0.3.7/24",
        "security.nesting": "true",
    }
    nic = {"type": "nic", "nictype": "bridged", "parent": "lxcbr0", "hwaddr": "00:16:3e:01:02:03"}
    disk = {"type": "disk", "source": "/srv/my data", "path": "/srv/data"}
    assert made.devices == {
        "srv-data": disk | {"readonly": "true", "optional": "true"},
        "tree": {"type": "disk", "source": "/srv/tree", "path": "/tree", "recursive": "true"},
        "eth0": nic,
        "eth1": {"type": "nic", "nictype": "p2p", "host_name": "vethweb"},
    }


def test_without_a_map_it_is_privileged_and_without_interfaces_it_gets_none() -> None:
    made = converted("lxc.rootfs.path = dir:/srv/web\nlxc.net.0.type = empty\n")
    assert made.config == {"security.privileged": "true"}
    assert made.devices == {"eth0": {"type": "none"}}


def test_an_empty_value_takes_back_what_came_before() -> None:
    made = converted(
        "lxc.rootfs.path = /srv\nlxc.cap.drop = sys_nice\nlxc.cap.drop =\n"
        "lxc.mount.entry = /a a none bind 0 0\nlxc.mount.entry =\nlxc.idmap = u 0 1 1\nlxc.idmap =\n"
    )
    assert (made.refused, made.ranges, list(made.devices)) == ([], [], ["eth0"])
    assert "raw.lxc" not in made.config


def test_a_policy_and_a_device_of_its_own_come_along() -> None:
    made = converted(
        "lxc.rootfs.path = /srv\nlxc.seccomp.profile = /etc/mine\nlxc.cgroup2.devices.allow = c 1:4 rwm\n"
        "lxc.cgroup2.devices.allow = c 1:11 rwm\n"
    )
    assert made.config["raw.seccomp"].startswith("2\ndenylist")
    refused = [] if Path("/dev/kmsg").exists() else ["lxc.cgroup2.devices.allow = c 1:11 rwm"]
    assert [line.rpartition(":")[0] for line in made.refused if "1:11" in line] == refused


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("lxc.rootfs.path = overlay:/a:/b", "folders"),
        ("lxc.rootfs.options = nosuid", "no counterpart"),
        ("lxc.hook.pre-start = /bin/x", "root of the host"),
        ("lxc.net.0.type = none", "network of the host"),
        ("lxc.net.0.type = vlan", "interfaces of this kind"),
        ("lxc.net.0.script.up = /x", "nothing like it"),
        ("lxc.net.0.macvlan.mode = vepa", "bridge"),
        ("lxc.cap.keep = sys_admin", "lxc.cap.drop"),
        ("lxc.apparmor.profile = mine", "raw.apparmor"),
        ("lxc.selinux.context = x", "SELinux"),
        ("lxc.cgroup.devices.allow = a", "single device nodes"),
        ("lxc.cgroup.devices.allow = c 9999:9999 rwm", "no such device"),
        ("lxc.cgroup.memory.limit_in_bytes = lots", "no size"),
        ("lxc.environment = HOME", "needs a value"),
        ("lxc.arch = vax", "Architecture"),
        ("lxc.idmap = u 0 1", "written as"),
        ("lxc.idmap = u 0 1 0", "outside"),
        ("lxc.mount.entry = /a", "four fields"),
        ("lxc.namespace.share.net = other", "nothing like it"),
        ("lxc.nonsense = 1", "nothing like it"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(line: str, said: str) -> None:
    made = converted(f"lxc.rootfs.path = /srv\n{line}\n")
    assert len(made.refused) == 1
    assert said in made.refused[0] and made.refused[0].startswith(line.partition(" ")[0])


def test_a_file_that_is_no_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(f"lxc.include = {tmp_path}/config\n")
    with pytest.raises(InvalidInput, match="too deeply"):
        lxc_settings.read(tmp_path / "config")
    (tmp_path / "config").write_text("lxc.tty = 1\n[nonsense]\n")
    with pytest.raises(InvalidInput, match='config" line 2 is no setting'):
        lxc_settings.read(tmp_path / "config")
