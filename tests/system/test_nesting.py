"""A container in a container: the host's own lxc-start, run inside, as docs/nesting.md describes."""

import os.path

from tests.system.harness import Daemon
from tests.system.plugging import add, inside

CONFIG = """lxc.rootfs.path = dir:/inner
lxc.uts.name = inner
lxc.net.0.type = empty
lxc.idmap = u 0 1000 1000
lxc.idmap = g 0 1000 1000
lxc.mount.auto = proc:rw sys:rw
lxc.init.cmd = /init
"""
INIT = """#!/bin/sh
(hostname; cat /proc/1/comm; head -n 1 /proc/self/uid_map; ls /sys/class/net) > /tmp/said
"""
SET_UP = """set -e
mkdir -p /inner/bin /inner/proc /inner/sys /inner/dev /inner/tmp /var/lib/lxc
cp /bin/busybox /inner/bin/
for applet in sh hostname cat head ls; do ln -s busybox /inner/bin/$applet; done
for folder in lib lib64; do [ -e /$folder ] || ln -s usr/$folder /$folder; done
echo root:1000:1000 > /etc/subuid
cp /etc/subuid /etc/subgid
cat > /inner/init
chmod 755 /inner/init
chown -R 1000:1000 /inner
"""
START = ("lxc-start", "-F", "-n", "inner", "-f", "/inner.conf")


def test_an_unprivileged_container_runs_inside_one_with_nesting(daemon: Daemon, container: str) -> None:
    add(daemon, container, "usr", "disk", "source=/usr", "path=/usr", "readonly=true")
    daemon.lxc("exec", container, "--", "sh", "-c", SET_UP, stdin=INIT)
    daemon.lxc("exec", container, "--", "sh", "-c", "cat > /inner.conf", stdin=CONFIG)
    if os.path.exists("/var/lib/lxcfs/proc"):  # lxcfs covers parts of /proc: no other may be mounted
        refused = daemon.run("exec", container, "--", *START)
        assert refused.returncode != 0 and b'Failed to mount "proc"' in refused.stderr
    daemon.lxc("config", "set", container, "security.nesting", "true")
    daemon.lxc("restart", "-f", container)
    inside(daemon, container, *START)
    name, init, ids, *interfaces = inside(daemon, container, "cat", "/inner/tmp/said").splitlines()
    assert (name, init, ids.split(), interfaces) == ("inner", "init", ["0", "1000", "1000"], ["lo"])
