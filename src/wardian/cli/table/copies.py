"""Copies of containers: snapshots, other names, other hosts, files, images."""

from __future__ import annotations

from wardian.cli.command import Command
from wardian.cli.options import Flag

ALONG = (
    Flag(
        "p,profile",
        "list",
        "Profile to apply to the new container, instead of the source's",
        bare="",
        values="profile",
    ),
    Flag("c,config", "list", "Config key/value to apply to the new container"),
    Flag("d,device", "list", "New key/value of a device, as in eth0,name=lan"),
    Flag("s,storage", "str", "Storage pool of the new container", values="pool"),
    Flag("instance-only", "bool", "The container without its snapshots"),
    Flag("container-only", "bool", "The same as --instance-only"),
    Flag("mode", "str", "Who connects to whom (pull|push|relay)", values="pull push relay"),
    Flag("limit", "str", "Bytes per second to send at most, as in 10MB"),
)

COMMANDS = (
    Command(
        "copy",
        "copy:copy",
        """Usage: lxc copy [<remote>:]<container>[/<snapshot>] [[<remote>:]<name>] [-e] [-c KEY=VALUE]...

Copy containers.

The copy has the files and the configuration of the container or snapshot, and new MAC addresses.
The container may run meanwhile. On the same host its snapshots are copied, too, with --snapshots.
--storage puts the copy into another storage pool.

With --refresh a copy that exists and is stopped gets the files that the original has now; its own
configuration stays. Only what differs is carried. Snapshots that it lacks are added and those that the
original has no more are removed, unless --instance-only says otherwise.

To another host the snapshots go along, unless --instance-only says otherwise; the copy has the same
name if none is given. The host that gets the copy connects to the other (pull); where that is not possible
it is tried the other way (push), and last through this client (relay); --mode chooses one of them.

Examples:
    lxc copy c1 c2
    lxc copy c1/snap0 c3 -c limits.cpu=2 -d eth0,name=lan
    lxc copy c1 backup --snapshots -s big
    lxc copy c1 backup --refresh
    lxc copy c1 host2: --limit 20MB
    lxc copy host2:c1 . --refresh
""",
        (
            Flag("e,ephemeral", "bool", "Ephemeral container"),
            *ALONG,
            Flag("snapshots", "bool", "Copy the snapshots, too (the default between hosts)"),
            Flag("refresh", "bool", "Bring a copy that exists up to date"),
            Flag("stateless", "bool", "Leave out the memory of one that runs (always so)"),
        ),
        completes="container",
    ),
    Command(
        "export",
        "backup:export",
        """Usage: lxc export [<remote>:]<container> [<file>|-] [--instance-only] [--compression KIND]

Export containers as files.

The file has the container with its configuration and its snapshots; `lxc import` makes the same
container of it, here or on another host. The container may run meanwhile.

With --optimized-storage, of a container on btrfs, the file has the streams of `btrfs send`: snapshots
only as their differences, and subvolumes as such. It can be imported into btrfs pools.

Examples:
    lxc export c1
    lxc export c1 c1.tar.zst --compression zstd --instance-only
    lxc export c1 - | ssh backup "cat > c1.tar.gz"
""",
        (
            Flag("instance-only", "bool", "Leave the snapshots out"),
            Flag("container-only", "bool", "The same as --instance-only"),
            Flag("optimized-storage", "bool", "Streams of btrfs, for other btrfs pools only"),
            Flag(
                "compression",
                "str",
                "How the file is compressed (none, gzip, bzip2, xz, lzma, zstd)",
                values="none gzip bzip2 xz lzma zstd",
            ),
        ),
        completes="container",
    ),
    Command(
        "import",
        "backup:import_",
        """Usage: lxc import [<remote>:] <file> [<name>] [--storage POOL]

Import containers from files.

The file is one that `lxc export` has written. It is checked as a new container is: its profiles,
networks and devices must exist here.

Examples:
    lxc import c1.tar.gz
    lxc import host2: c1.tar.gz c2 --storage fast
""",
        (
            Flag(
                "storage",
                "str",
                "Storage pool of the container, instead of the one that the file names",
                values="pool",
            ),
        ),
    ),
    Command(
        "move",
        "copy:move",
        """Usage: lxc move [<remote>:]<container>[/<snapshot>] [<remote>:]<name> [-s POOL]

Move containers.

A stopped container or a snapshot gets another name; all else stays as it is. A container takes its
snapshots along. With --storage it goes to another storage pool of the host, and keeps its name if no
other one is given.

To another host everything goes along, MAC addresses too. The container is deleted here when the
other host has all of it, verified, and not before. See `lxc copy` for the modes.

Examples:
    lxc move c1 c2
    lxc move c1/snap0 c1/before-upgrade
    lxc move c1 --storage fast
    lxc move c1 host2:
""",
        ALONG,
        completes="container",
    ),
    Command(
        "publish",
        "publish:publish",
        """Usage: lxc publish [<remote>:]<container>[/<snapshot>] [<remote>:] [--alias A]... [KEY=VALUE]...

Publish containers as images.

The image has the files of a stopped container or of a snapshot. A running container is stopped for
it with --force, and started again. Properties replace those of the image the container came from.

Examples:
    lxc publish c1 --alias web
    lxc publish c1/snap0 --alias web os=debian release=bookworm --public
    lxc publish c1 other: --alias web                 the image is another host's, not this one's
    lxc publish c1 --force --compression zstd
""",
        (
            Flag("public", "bool", "Make the image public"),
            Flag("alias", "list", "New alias to define at target"),
            Flag("f,force", "bool", "Stop the container if currently running"),
            Flag(
                "compression",
                "str",
                "How the image is compressed (none, gzip, bzip2, xz, lzma, zstd)",
                values="none gzip bzip2 xz lzma zstd",
            ),
            Flag("reuse", "bool", "Replace the image that has the alias now"),
        ),
        completes="container",
    ),
    Command(
        "rename",
        "copy:rename",
        """Usage: lxc rename [<remote>:]<container>[/<snapshot>] <name>

Rename containers and snapshots.

A container must be stopped, and takes its snapshots along.

Examples:
    lxc rename c1 c2
    lxc rename c1/snap0 before-upgrade
""",
        hidden=True,
        completes="container",
    ),
    Command(
        "restore",
        "snapshot:restore",
        """Usage: lxc restore [<remote>:]<container> <snapshot> [--stateful]

Set the current state of a container back to a snapshot.

Files and configuration become what they were; later snapshots stay. A running container is stopped
for it and started again.

Example:
    lxc restore c1 snap0
""",
        (Flag("stateful", "bool", "Go on from the memory that the snapshot has"),),
        completes="container,snapshot",
    ),
    Command(
        "snapshot",
        "snapshot:snapshot",
        """Usage: lxc snapshot [<remote>:]<container> [<name>] [--stateful] [--expiry 7d] [--reuse]

Create a read-only snapshot of a container.

It keeps the files and the configuration, also of a running container. Without a name it is called
as the key snapshots.pattern says, else snap0, snap1 and so on. `lxc info` lists the snapshots.

Examples:
    lxc snapshot c1
    lxc snapshot c1 before-upgrade --expiry 2w
    lxc config set c1 snapshots.schedule @daily
""",
        (
            Flag("stateful", "bool", "Keep the memory of what runs, too (needs CRIU)"),
            Flag("expiry", "str", "Delete the snapshot after this time, as in 30M, 12H, 7d, 2w, 3m, 1y"),
            Flag("no-expiry", "bool", "Keep the snapshot until it is deleted (the default)"),
            Flag("reuse", "bool", "Replace the snapshot of this name, if there is one"),
        ),
        completes="container",
    ),
)
