"""Configuration of containers, profiles and the server."""

from __future__ import annotations

from wardian.cli.command import FORMAT, Command
from wardian.cli.options import Flag

DRY_RUN = Flag("dry-run", "bool", "Tell what would change in which container, and change nothing")

COMMANDS = (
    Command(
        "config",
        "config:run",
        """Usage: lxc config get|set|unset|show|edit|device|metadata|template|trust ...

Manage the configuration of containers and of the server.

lxc config get [<remote>:][<container>] <key>
    Print a key.

lxc config set [<remote>:][<container>] <key> <value>
lxc config set [<remote>:][<container>] <key>=<value> [<key>=<value>...]
    Set keys. A value of "-" is read from standard input. With --dry-run nothing is set; it is told
    what would change, and when.

lxc config unset [<remote>:][<container>] <key>
    Remove a key.

lxc config show [<remote>:][<container>] [--expanded] [--sources]
    Print everything; with --expanded what the profiles say is merged in, with --sources it is also
    told which profile each key and device comes from.

lxc config edit [<remote>:][<container>]
    Edit everything as YAML, in an editor or from standard input.

lxc config device add [<remote>:]<container> <device> <type> [<key>=<value>...]
lxc config device list|show [<remote>:]<container>
lxc config device get|unset [<remote>:]<container> <device> <key>
lxc config device set [<remote>:]<container> <device> <key> <value>
lxc config device set [<remote>:]<container> <device> <key>=<value> [<key>=<value>...]
lxc config device remove [<remote>:]<container> <device> [<device>...]
lxc config device override [<remote>:]<container> <device> [<key>=<value>...]
    Devices of the container itself; override makes one of a profile its own, to change it.

lxc config metadata show|edit [<remote>:]<container>
    The metadata.yaml that the container has from its image.

lxc config template list [<remote>:]<container>
lxc config template show|create|edit|delete [<remote>:]<container> <template>
    The templates that metadata.yaml names; standard input is taken as the text of one, unless it is a
    terminal.

lxc config trust list|list-tokens [<remote>:]
lxc config trust show|edit|remove [<remote>:] <fingerprint>
lxc config trust add [<remote>:] <file.crt> [--name NAME] [--read-only] [--containers c1,c2]
    Say who may use the server over the network.
lxc config trust add [<remote>:] --name NAME [--expiry 24h] [--read-only] [--containers c1,c2]
    Print a join token: with it, one client can be trusted without a password.
    With --read-only that client may only look; with --containers it may use these alone, as they are set up.
lxc config trust revoke-token [<remote>:] <name>

Examples:
    lxc config set core.https_address [::]:8443
    lxc config set core.trust_password -
    lxc config trust add --name laptop
    lxc config trust add --name intern --containers c1,c2
    lxc config set c1 limits.cpu 2
    lxc config show --expanded --sources c1
    lxc config device add c1 www disk source=/srv/www path=/var/www readonly=true
    lxc config device override c1 eth0 mtu=1400
    lxc config edit c1 < update.yaml
    lxc config set images.remote_cache_expiry 5
""",
        (
            Flag("e,expanded", "bool", "Whether to show the expanded configuration"),
            Flag("sources", "bool", "Show the expanded configuration and where each part comes from"),
            DRY_RUN,
            Flag("name", "str", "Name of a trusted certificate, or of the client that a join token is for"),
            Flag(
                "read-only", "bool", "Let a trusted client look at everything, but change and enter nothing"
            ),
            Flag(
                "containers",
                "str",
                "Containers that a trusted client may use, as in c1,c2; all the others not",
            ),
            Flag("expiry", "str", "How long a join token can be used, as in 30m, 24h or 7d"),
            FORMAT,
        ),
        subcommands="get set unset show edit device metadata template trust",
        completes="container",
    ),
    Command(
        "profile",
        "profile:run",
        """Usage: lxc profile list|show|create|copy|rename|edit|delete|get|set|unset|add|remove|assign|device

Manage container configuration profiles.

lxc profile list [<remote>:]
lxc profile show|create|edit|delete [<remote>:]<profile>
lxc profile copy [<remote>:]<profile> [<remote>:][<profile>]
lxc profile get|unset [<remote>:]<profile> <key>
lxc profile set [<remote>:]<profile> <key> <value>
lxc profile set [<remote>:]<profile> <key>=<value> [<key>=<value>...]
    With --dry-run nothing is set; it is told what would change in which container, and when.
lxc profile rename [<remote>:]<profile> <new name>

lxc profile assign|apply [<remote>:]<container> [<profile>,<profile>...]
    Replace a container's list of profiles; none given: no profile.
lxc profile add|remove [<remote>:]<container> <profile>
    Add a profile at the end of a container's list, or take one out of it.

lxc profile device add [<remote>:]<profile> <device> <type> [<key>=<value>...]
lxc profile device list|show [<remote>:]<profile>
lxc profile device get|unset [<remote>:]<profile> <device> <key>
lxc profile device set [<remote>:]<profile> <device> <key> <value>
lxc profile device set [<remote>:]<profile> <device> <key>=<value> [<key>=<value>...]
lxc profile device remove [<remote>:]<profile> <device> [<device>...]

Examples:
    lxc profile set default limits.memory 1GB
    lxc profile device set default eth0 mtu 1400
    lxc profile set default limits.memory 1GB --dry-run
    lxc profile add c1 docker
""",
        (
            DRY_RUN,
            Flag(
                "f,format",
                "str",
                "Format of a list; without it, names alone",
                values="table json csv yaml compact",
            ),
        ),
        subcommands="list show create copy rename get set unset edit delete add remove assign apply device",
        completes="profile",
    ),
)
