"""What a host gives to containers."""

from __future__ import annotations

from wardian.cli.command import FORMAT, Command
from wardian.cli.options import Flag

COMMANDS = (
    Command(
        "network",
        "network:run",
        """Usage: lxc network list|show|info|create|edit|rename|delete|get|set|unset|attach|detach ...

Manage networks.

lxc network list [<remote>:]
lxc network show [<remote>:]<network>
lxc network create [<remote>:]<network> [key=value...]
    Make a bridge with DHCP, DNS and NAT; subnets that are free on this host are chosen.
lxc network get|unset [<remote>:]<network> <key>
lxc network set [<remote>:]<network> <key> <value>
lxc network edit [<remote>:]<network>
lxc network rename [<remote>:]<network> <new name>
lxc network delete [<remote>:]<network>
lxc network info [<remote>:]<network>
    Addresses and traffic of the interface.
lxc network attach [<remote>:]<network> <container> [<device>] [<interface>]
lxc network detach [<remote>:]<network> <container> [<device>]
lxc network attach-profile [<remote>:]<network> <profile> [<device>] [<interface>]
lxc network detach-profile [<remote>:]<network> <profile> [<device>]
    Give a container or a profile an interface on the network, and take it away.
lxc network list-leases [<remote>:]<network>
    Addresses that DHCP has given out (DYNAMIC), or keeps for a container (STATIC).

Example:
    lxc network create br1 ipv6.address=none
    lxc network attach br1 c1 eth1
""",
        (FORMAT,),
        subcommands="list show info create get set unset edit rename delete list-leases attach detach "
        "attach-profile detach-profile",
        completes="network",
    ),
    Command(
        "storage",
        "storage:run",
        """Usage: lxc storage list|show|info|create|get|set|unset|edit|delete|volume ...

Manage storage pools and volumes.

lxc storage list [<remote>:]
lxc storage show [<remote>:]<pool> [--resources]
lxc storage info [<remote>:]<pool>
    How full it is, and what is in it.
lxc storage create [<remote>:]<pool> zfs|btrfs|overlay|lvm|dir [<key>=<value>...]
    Make a pool: in a folder or loop file of the server's own, or where source= says.
lxc storage get|unset [<remote>:]<pool> <key>
lxc storage set [<remote>:]<pool> <key> <value>
lxc storage edit [<remote>:]<pool>
lxc storage delete [<remote>:]<pool>

lxc storage volume list [<remote>:]<pool>
lxc storage volume show|info|create|edit|delete [<remote>:]<pool> <volume>
lxc storage volume rename [<remote>:]<pool> <volume>[/<snapshot>] <new name>
lxc storage volume copy [<remote>:]<pool> <volume>[/<snapshot>] [<other pool>/]<new name>
lxc storage volume move [<remote>:]<pool> <volume> <other pool>/[<new name>]
    A move takes the snapshots along; nothing may use the volume. <pool>/<volume> may also be one word.
lxc storage volume get|unset [<remote>:]<pool> <volume> <key>
lxc storage volume set [<remote>:]<pool> <volume> <key> <value>
    Volumes that belong to no container.
lxc storage volume attach [<remote>:]<pool> <volume> <container> [<device>] <path>
lxc storage volume detach [<remote>:]<pool> <volume> <container> [<device>]
    Show one in a container, as many as wanted at once, and take it away again.
lxc storage volume snapshot [<remote>:]<pool> <volume> [<snapshot>]
lxc storage volume restore [<remote>:]<pool> <volume> <snapshot>
lxc storage volume delete [<remote>:]<pool> <volume>/<snapshot>

Examples:
    lxc storage create fast btrfs source=/dev/nvme1n1
    lxc storage create big overlay source=/srv/containers
    lxc storage create tank zfs source=tank/containers
    lxc launch debian:bookworm c1 -s fast
    lxc storage set default size 40GB
    lxc storage volume create default data
    lxc storage volume attach default data c1 /srv/data
""",
        (FORMAT, Flag("resources", "bool", "Show the space used and in all")),
        subcommands="list show info create get set unset edit delete volume",
        completes="pool",
    ),
)
