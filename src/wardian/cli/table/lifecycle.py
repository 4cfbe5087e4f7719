"""What begins, ends and shows containers."""

from __future__ import annotations

from wardian.cli.command import FORMAT, Command, action
from wardian.cli.options import Flag

FORCE = Flag("f,force", "bool", "Force the container to shutdown")
CONSOLE = Flag("console", "bool", "Show the console once it has started")
ALL = Flag("all", "bool", "All containers of the server")
TIMEOUT = Flag("timeout", "int", "Time to wait for the container before giving up", -1)
CREATE = (
    Flag("e,ephemeral", "bool", "Ephemeral container"),
    Flag("p,profile", "list", "Profile to apply to the new container", bare="", values="profile"),
    Flag("no-profiles", "bool", "Create the container without profiles (same as -p without a name)"),
    Flag("c,config", "list", "Config key/value to apply to the new container"),
    Flag("s,storage", "str", "Storage pool of the new container", values="pool"),
    Flag("n,network", "str", "Network of the new container's eth0", values="network"),
    Flag("d,device", "list", "Key/value of a device, as in root,size=10GB"),
    Flag("empty", "bool", "Create a container without files; no image is named"),
    Flag("t,type", "str", "Instance type, as in t2.micro, aws:t2.micro or c2-m4 (2 CPUs, 4 GB)"),
)

COMMANDS = (
    action(
        "delete",
        "Delete containers and snapshots.",
        "A running container is only deleted with --force. Snapshots (c1/snap0) go with their container.",
        (
            Flag("f,force", "bool", "Force the removal of running containers"),
            Flag("i,interactive", "bool", "Require user confirmation"),
        ),
    ),
    Command(
        "info",
        "info:run",
        """Usage: lxc info [<remote>:][<container>] [--show-log] [--criu] [--resources]

Show information on a container or the server.

With --criu it tells whether the memory of the container can be saved now (`lxc stop --stateful`,
`lxc snapshot --stateful`), and what is in the way if not; then the exit status is 1. With --resources,
and without a container, it shows the processors, memory, network cards, GPUs and disks of the host.

Examples:
    lxc info c1 --show-log
    lxc info c1 --criu
""",
        (
            Flag("show-log", "bool", "Show the container's log"),
            Flag("resources", "bool", "Show the hardware of the host"),
            Flag("criu", "bool", "Tell what is in the way of saving the container's memory"),
        ),
        completes="container",
    ),
    Command(
        "init",
        "create:init",
        """Usage: lxc init [<remote>:]<image> [<remote>:][<name>] [-e] [-p <profile>...] [-c <key=value>...]

Create containers from images.

Without a name the server chooses one. Without -p the profile "default" applies, and with
-p alone none.

Example:
    lxc init debian:trixie c1 -c limits.memory=1GB -d root,size=10GB
""",
        CREATE,
        hidden=True,
        completes="image,",
    ),
    Command(
        "launch",
        "create:launch",
        """Usage: lxc launch [<remote>:]<image> [<remote>:][<name>] [-e] [-p PROFILE]... [-c KEY=VALUE]...

Create and start containers from images.

Without a name the server chooses one. Without -p the profile "default" applies, and with
-p alone none.

Examples:
    lxc launch ubuntu:16.04 c1
    lxc launch debian:bookworm c1
    lxc launch debian:trixie --ephemeral
    lxc launch debian:trixie c2 -n br1 -s fast
""",
        (*CREATE, CONSOLE),
        completes="image,",
    ),
    Command(
        "list",
        "list:run",
        """Usage: lxc list [<remote>:] [<filter>...] [--format FORMAT] [-c <columns>] [--fast]

List the existing containers.

Filters (all must match): a regular expression or part of the name, or key=value, where each part
of the key may be shortened (s.privileged=true) and the value is a regular expression. Besides keys of
the configuration there are status, type, architecture, description, ephemeral, name, and ipv4 and ipv6
with an address or subnet.

Columns: n name, s state, 4 IPv4, 6 IPv6, t type, S snapshots, a architecture, b storage pool, c created,
d description, D disk usage, f base image, F all of its fingerprint, l last used, m memory usage,
N processes, p pid, P profiles, u CPU time. Default: ns46tS; with --fast: nsacPt. A key of the configuration
is a column, too, between commas: KEY[:HEADER[:WIDTH]], or devices:DEVICE.KEY.

Examples:
    lxc list -c ns4 web user.env=test
    lxc list status=running ipv4=10.0.3.0/24 -f csv
    lxc list -c ns,user.env:ENV,mD
""",
        (
            Flag("c,columns", "str", "Columns", "ns46tS"),
            Flag("fast", "bool", "Use fast mode (same as --columns=nsacPt)"),
            FORMAT,
        ),
    ),
    action(
        "pause",
        "Pause containers.",
        "All processes are frozen where they are; the opposite is `lxc start`.",
        (ALL,),
    ),
    action("restart", "Restart containers.", "", (ALL, CONSOLE, TIMEOUT, FORCE)),
    action(
        "start",
        "Start containers.",
        "A paused container goes on, and one that was stopped with --stateful continues where it was.",
        (
            ALL,
            CONSOLE,
            Flag("stateless", "bool", "Boot anew and discard the memory that was saved"),
        ),
    ),
    action(
        "stop",
        "Stop containers.",
        "Without --force init is asked to shut down. With --stateful the memory is saved, and the next\n"
        "start goes on from there.",
        (ALL, TIMEOUT, FORCE, Flag("stateful", "bool", "Save the memory of what runs (needs CRIU)")),
    ),
)
