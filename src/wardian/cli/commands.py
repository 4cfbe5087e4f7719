"""All commands, as one table. Readers: dispatch, --help, the help page, completion."""

from __future__ import annotations

from wardian.cli.options import Flag, Values, options_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wardian.cli.session import Session

FORMAT = Flag("format", "str", "Format (table|json|csv|yaml|compact)", "table")
FORCE = Flag("f,force", "bool", "Force the container to shutdown")
TIMEOUT = Flag("timeout", "int", "Time to wait for the container before giving up", -1)
DRY_RUN = Flag("dry-run", "bool", "Tell what would change in which container, and change nothing")
CREATE = (
    Flag("e,ephemeral", "bool", "Ephemeral container"),
    Flag("p,profile", "list", "Profile to apply to the new container"),
    Flag("c,config", "list", "Config key/value to apply to the new container"),
    Flag("s,storage", "str", "Storage pool of the new container"),
    Flag("t,type", "str", "Instance type, as in t2.micro, aws:t2.micro or c2-m4 (2 CPUs, 4 GB)"),
)
ALONG = (
    Flag("p,profile", "list", "Profile to apply to the new container, instead of the source's"),
    Flag("c,config", "list", "Config key/value to apply to the new container"),
    Flag("d,device", "list", "New key/value of a device, as in eth0,name=lan"),
    Flag("s,storage", "str", "Storage pool of the new container"),
    Flag("instance-only", "bool", "The container without its snapshots"),
    Flag("container-only", "bool", "The same as --instance-only"),
    Flag("mode", "str", "Who connects to whom (pull|push|relay)"),
    Flag("limit", "str", "Bytes per second to send at most, as in 10MB"),
)
"""What both copy and move take to another host."""


class Command:
    """One command. where: `module:function`; usage: synopsis, a summary line, text and examples."""

    def __init__(
        self,
        name: str,
        where: str,
        usage: str,
        flags: tuple[Flag, ...] = (),
        *,
        hidden: bool = False,
        stop_at: int = 0,
        subcommands: str = "",
        completes: str = "",
    ) -> None:
        self.name, self.where, self.usage, self.flags = name, where, usage, flags
        self.hidden, self.stop_at, self.completes = hidden, stop_at, completes
        self.subcommands = subcommands.split()

    @property
    def is_group(self) -> bool:
        """Whether it has subcommands."""
        return bool(self.subcommands)

    @property
    def summary(self) -> str:
        """The first line that is no synopsis, without its dot."""
        lines = (line.strip() for line in self.usage.splitlines())
        return next(line for line in lines if line and not line.startswith(("Usage:", "lxc"))).rstrip(".")

    def help_text(self) -> str:
        """What `--help` prints."""
        return f"{self.usage.strip()}\n\n{options_text(self.flags)}"

    def run(self, session: Session, values: Values, words: list[str]) -> int:
        """Run it; its exit status."""
        module, _, function = self.where.partition(":")
        found = __import__(f"wardian.cli.{module}", fromlist=[function])
        status: int = getattr(found, function)(session, values, words)
        return status


def _action(name: str, summary: str, text: str, flags: tuple[Flag, ...] = ()) -> Command:
    usage = f"""Usage: lxc {name} [<remote>:]<container> [[<remote>:]<container>...]

{summary}

{text}
Several containers are handled at the same time.

Example:
    lxc {name} c1 c2
"""
    return Command(name, f"container:{name}", usage, flags, hidden=name == "pause", completes="container")


COMMANDS = (
    Command(
        "completion",
        "other:completion",
        """Usage: lxc completion bash|zsh|fish

Print the completion script of a shell.

Example:
    lxc completion bash > /etc/bash_completion.d/lxc
""",
        hidden=True,
    ),
    Command(
        "config",
        "config:run",
        """Usage: lxc config get|set|unset|show|edit|device|trust [<remote>:][<container>] ...

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

lxc config trust list|list-tokens [<remote>:]
lxc config trust show|remove [<remote>:] <fingerprint>
lxc config trust add [<remote>:] <file.crt> [--name NAME]
    Say who may use the server over the network.
lxc config trust add [<remote>:] --name NAME [--expiry 24h]
    Print a join token: with it, one client can be trusted without a password.
lxc config trust revoke-token [<remote>:] <name>

Examples:
    lxc config set core.https_address [::]:8443
    lxc config set core.trust_password -
    lxc config trust add --name laptop
    lxc config set c1 limits.cpu 2
    lxc config show --expanded --sources c1
    lxc config device add c1 www disk source=/srv/www path=/var/www readonly=true
    lxc config device override c1 eth0 mtu=1400
    lxc config edit c1 < update.yaml
    lxc config set images.remote_cache_expiry 5
""",
        (
            Flag("expanded", "bool", "Whether to show the expanded configuration"),
            Flag("sources", "bool", "Show the expanded configuration and where each part comes from"),
            DRY_RUN,
            Flag("name", "str", "Name of a trusted certificate, or of the client that a join token is for"),
            Flag("expiry", "str", "How long a join token can be used, as in 30m, 24h or 7d"),
            FORMAT,
        ),
        subcommands="get set unset show edit device trust",
        completes="container",
    ),
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
    _action(
        "delete",
        "Delete containers and snapshots.",
        "A running container is only deleted with --force. Snapshots (c1/snap0) go with their container.",
        (
            Flag("f,force", "bool", "Force the removal of running containers"),
            Flag("i,interactive", "bool", "Require user confirmation"),
        ),
    ),
    Command(
        "exec",
        "exec:run",
        """Usage: lxc exec [<remote>:]<container> [--mode MODE] [--env KEY=VALUE...] [--] <command...>

Run a command in a container.

The command is run as it is, without a shell: patterns, variables and redirections need one, as in
`lxc exec c1 -- sh -c "cd /tmp && ls *"`. The mode is interactive when standard input and standard
output are both terminals; then one terminal is made in the container. Otherwise the three streams
are separate. The exit status is the command's.

Examples:
    lxc exec c1 bash
    lxc exec c1 -- ls -lh /
    tar c . | lxc exec c1 -- tar x -C /srv
""",
        (
            Flag("mode", "str", "Override the terminal mode (auto, interactive or non-interactive)", "auto"),
            Flag("env", "list", "An environment variable of the form HOME=/home/foo"),
            Flag("user", "int", "User id to run the command as", -1),
            Flag("group", "int", "Group id to run the command as", -1),
            Flag("cwd", "str", "Folder to run the command in"),
        ),
        stop_at=2,
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
            Flag("compression", "str", "How the file is compressed (none, gzip, bzip2, xz, lzma, zstd)"),
        ),
        completes="container",
    ),
    Command(
        "file",
        "file:run",
        """Usage: lxc file pull|push|edit|delete|mkdir ...

Manage files in containers.

They need not run. Paths and links are those of the container, user and group ids too.

lxc file pull [-r] [-p] [<remote>:]<container>/<path> [[<remote>:]<container>/<path>...] <target>
    Fetch files to a file, a folder or ("-") standard output. With -r folders too, with all in them;
    root then gets the owners as well. Set-user-ID bits are left behind.

lxc file push [-r] [-p] [--uid UID] [--gid GID] [--mode MODE] <source>... [<remote>:]<container>/<path>
    Send files; a target that ends in "/" is a folder. "-" is standard input. Owner and mode are those
    of the source unless given. With -r folders too, each under its own name below the target.

lxc file edit [<remote>:]<container>/<path>
    Edit a file in an editor, or replace it by standard input; owner and mode stay.

lxc file delete [<remote>:]<container>/<path> [[<remote>:]<container>/<path>...]
    Remove files, links or empty folders.

lxc file mkdir [-p] [--uid UID] [--gid GID] [--mode MODE] [<remote>:]<container>/<path>...
    Make folders.

Examples:
    lxc file pull c1/etc/hosts .
    lxc file pull -r c1/var/log logs
    lxc file push --mode 0755 tool c1/usr/local/bin/
    lxc file push -r -p site c1/srv/www/
    tar c . | lxc file push - c1/root/backup.tar
""",
        (
            Flag("r,recursive", "bool", "Fetch or send folders with all that is in them"),
            Flag("p,create-dirs", "bool", "Make the folders on the way to the target"),
            Flag("uid", "int", "Owner in the container (default: that of the source)", -1),
            Flag("gid", "int", "Group in the container (default: that of the source)", -1),
            Flag("mode", "str", "Mode in octal (default: that of the source)"),
        ),
        subcommands="pull push edit delete mkdir",
        completes="container",
    ),
    Command(
        "finger",
        "other:finger",
        """Usage: lxc finger [<remote>:]

Check if the server is alive.

Example:
    lxc finger && echo up
""",
        hidden=True,
    ),
    Command(
        "help",
        "other:help",
        """Usage: lxc help [--all] [<command>...]

Show help on the client and its commands.

Example:
    lxc help exec
""",
        (Flag("all", "bool", "Show all commands (not just interesting ones)"),),
    ),
    Command(
        "image",
        "image:run",
        """Usage: lxc image build|import|export|copy|delete|info|show|edit|list|refresh|alias ...

Manage images.

lxc image build <recipe.yaml> [<remote>:] [--alias ALIAS...] [--no-cache]
    Make an image out of another one by the steps of a recipe. What an earlier build did is used again as
    far as nothing has changed; with --no-cache all is done anew.

lxc image import <tarball> [<rootfs>] [<remote>:] [--public] [--alias ALIAS...] [key=value...]
    Add an image of one file, or of a metadata tarball and a root file system (tarball or squashfs).

lxc image import <folder> [<remote>:] [--public] [--alias ALIAS...] [key=value...]
    Add an image of a folder that holds metadata.yaml and rootfs/, and perhaps templates/.

lxc image import <URL> [<remote>:] [--public] [--alias ALIAS...] [key=value...]
    Have the server fetch an image from the web; only https:// URLs.

lxc image copy [<remote>:]<image> <remote>: [--alias ALIAS...] [--copy-aliases] [--public] [--auto-update]
               [--mode pull|relay]
    Have the server fetch an image of another remote, and keep it. With --mode relay this client carries it,
    for servers that cannot reach each other.

lxc image refresh [<remote>:]<image> [[<remote>:]<image>...]
    Fetch the newest version of an image from where it came.

lxc image export [<remote>:]<image> [<target>]
    Save an image to a folder, a file or ("-") standard output.

lxc image delete [<remote>:]<image> [[<remote>:]<image>...]
lxc image info|show|edit [<remote>:]<image>
lxc image list [<remote>:] [<filter>...] [-c <columns>] [--format table|json|csv|yaml|compact]
    Filters: part of an alias or fingerprint, or property=value with regular expressions.
    Columns: l alias, L all aliases, f fingerprint, F all of it, p public, d description, a architecture,
    s size, u upload date, t type. Default: lfpdasu.

lxc image alias create [<remote>:]<alias> <fingerprint>
lxc image alias rename [<remote>:]<alias> <new name>
lxc image alias delete [<remote>:]<alias>
lxc image alias list [<remote>:] [<filter>...]

Examples:
    lxc image list debian:
    lxc image list ubuntu: 16.04
    lxc image copy ubuntu:16.04 local: --copy-aliases --auto-update
    lxc image build web.yaml --alias web
    lxc image import busybox.tar.xz --alias bb
    lxc image export bb .
""",
        (
            Flag("public", "bool", "Make image public"),
            Flag("alias", "list", "New alias to define at target"),
            Flag("copy-aliases", "bool", "Copy aliases from source"),
            Flag("no-cache", "bool", "Make all steps of a recipe anew"),
            Flag("auto-update", "bool", "Keep the image up to date after initial copy"),
            Flag("c,columns", "str", "Columns of a list", "lfpdasu"),
            Flag("mode", "str", "Who carries a copied image (pull|relay)", "pull"),
            FORMAT,
        ),
        subcommands="build import export copy delete info show edit list refresh alias",
        completes="image",
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
        (Flag("storage", "str", "Storage pool of the container, instead of the one that the file names"),),
    ),
    Command(
        "info",
        "info:run",
        """Usage: lxc info [<remote>:][<container>] [--show-log] [--criu]

Show information on a container or the server.

With --criu it tells whether the memory of the container can be saved now (`lxc stop --stateful`,
`lxc snapshot --stateful`), and what is in the way if not; then the exit status is 1.

Examples:
    lxc info c1 --show-log
    lxc info c1 --criu
""",
        (
            Flag("show-log", "bool", "Show the container's log"),
            Flag("criu", "bool", "Tell what is in the way of saving the container's memory"),
        ),
        completes="container",
    ),
    Command(
        "init",
        "container:init",
        """Usage: lxc init [<remote>:]<image> [<remote>:][<name>] [-e] [-p <profile>...] [-c <key=value>...]

Create containers from images.

Without a name the server chooses one. Without -p the profile "default" applies; -p "" means none.

Example:
    lxc init debian:trixie c1 -c limits.memory=1GB
""",
        CREATE,
        hidden=True,
        completes="image",
    ),
    Command(
        "launch",
        "container:launch",
        """Usage: lxc launch [<remote>:]<image> [<remote>:][<name>] [-e] [-p PROFILE]... [-c KEY=VALUE]...

Create and start containers from images.

Without a name the server chooses one. Without -p the profile "default" applies; -p "" means none.

Examples:
    lxc launch ubuntu:16.04 c1
    lxc launch debian:bookworm c1
    lxc launch debian:trixie --ephemeral
""",
        CREATE,
        completes="image",
    ),
    Command(
        "list",
        "list:run",
        """Usage: lxc list [<remote>:] [<filter>...] [--format FORMAT] [-c <columns>] [--fast]

List the existing containers.

Filters (all must match): a regular expression or part of the name, or key=value, where each part
of the key may be shortened (s.privileged=true) and the value is a regular expression.

Columns: n name, s state, 4 IPv4, 6 IPv6, t type, S snapshots, a architecture, c created, p pid,
P profiles. Default: ns46tS; with --fast: nsacPt.

Example:
    lxc list -c ns4 web user.env=test
""",
        (
            Flag("c,columns", "str", "Columns", "ns46tS"),
            Flag("fast", "bool", "Use fast mode (same as --columns=nsacPt)"),
            FORMAT,
        ),
    ),
    Command(
        "monitor",
        "other:monitor",
        """Usage: lxc monitor [<remote>:] [--type=TYPE...]

Monitor activity on the server.

Types: logging, operation, lifecycle; all of them unless told otherwise.

Example:
    lxc monitor --type=lifecycle
""",
        (Flag("type", "list", "Event type to listen for"),),
        hidden=True,
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
        "network",
        "network:run",
        """Usage: lxc network list|show|create|get|set|unset|delete|list-leases ...

Manage networks.

lxc network list [<remote>:]
lxc network show [<remote>:]<network>
lxc network create [<remote>:]<network> [key=value...]
    Make a bridge with DHCP, DNS and NAT; subnets that are free on this host are chosen.
lxc network get|unset [<remote>:]<network> <key>
lxc network set [<remote>:]<network> <key> <value>
lxc network delete [<remote>:]<network>
lxc network list-leases [<remote>:]<network>
    Addresses that DHCP has given out (DYNAMIC), or keeps for a container (STATIC).

Example:
    lxc network create br1 ipv6.address=none
""",
        (FORMAT,),
        subcommands="list show create get set unset delete list-leases",
        completes="network",
    ),
    _action(
        "pause",
        "Pause containers.",
        "All processes are frozen where they are; the opposite is `lxc start`.",
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
        (DRY_RUN,),
        subcommands="list show create copy rename get set unset edit delete add remove assign apply device",
        completes="profile",
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
            Flag("compression", "str", "How the image is compressed (none, gzip, bzip2, xz, lzma, zstd)"),
            Flag("reuse", "bool", "Replace the image that has the alias now"),
        ),
        completes="container",
    ),
    Command(
        "remote",
        "remote:run",
        """Usage: lxc remote add|list|remove|rename|set-url|set-default|get-default ...

Manage the list of remote servers.

lxc remote add <remote> <address|URL> [--accept-certificate] [--password PASSWORD] [--public]
               [--protocol lxd|simplestreams]
    Add a server. The fingerprint of its certificate is shown, to be compared with the one that
    `lxc info` shows there, and kept. It then asks for the trust password, to trust this client.

lxc remote add <remote> <token>
lxc remote add <remote> [<address>] --token TOKEN
    Add a server by a join token (`lxc config trust add --name NAME` prints one there).

lxc remote list
lxc remote remove <remote>
lxc remote rename <old> <new>
lxc remote set-url <remote> <URL>
lxc remote set-default <remote>
lxc remote get-default

Examples:
    lxc remote add host2 10.0.0.2
    lxc launch debian:bookworm host2:c1
    lxc list host2:
""",
        (
            Flag("accept-certificate", "bool", "Accept certificate"),
            Flag("password", "str", "Remote admin password"),
            Flag("token", "str", "Join token"),
            Flag("public", "bool", "Public image server"),
            Flag("protocol", "str", "Server protocol (lxd or simplestreams)", "lxd"),
            FORMAT,
        ),
        subcommands="add list remove rename set-url set-default get-default",
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
    _action("restart", "Restart containers.", "", (TIMEOUT, FORCE)),
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
        completes="container",
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
    _action(
        "start",
        "Start containers.",
        "A paused container goes on, and one that was stopped with --stateful continues where it was.",
        (Flag("stateless", "bool", "Boot anew and discard the memory that was saved"),),
    ),
    _action(
        "stop",
        "Stop containers.",
        "Without --force init is asked to shut down. With --stateful the memory is saved, and the next\n"
        "start goes on from there.",
        (TIMEOUT, FORCE, Flag("stateful", "bool", "Save the memory of what runs (needs CRIU)")),
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
    A move takes the snapshots along; nothing may use the volume.
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
    Command(
        "version",
        "other:version",
        """Usage: lxc version

Print the version of the client.

Example:
    lxc version
""",
    ),
)


SHORT = {"ls": "list", "rm": "delete", "cp": "copy", "mv": "move"}
"""What people type out of habit."""


def find(name: str) -> Command | None:
    """The command of this name."""
    name = SHORT.get(name, name)
    return next((command for command in COMMANDS if command.name == name), None)


def help_page(*, everything: bool) -> str:
    """The page of `lxc help`."""
    lines = [
        "Usage: lxc <command> [options]",
        "",
        "This is the LXD command line client.",
        "All of LXD's features can be driven through the various commands below.",
        "For help with any of those, simply call them with --help.",
        "",
        "Commands:",
    ]
    for command in COMMANDS:
        if command.name != "help" and (everything or not command.hidden):
            lines.append(f"  {command.name:<16} {command.summary}")
    lines += [
        "",
        "Options:",
        "  --all            Print less common commands",
        "  --debug          Print debug information",
        "  --verbose        Print verbose information",
        "  --version        Show client version",
        "",
        "Environment:",
        "  LXD_CONF         Path to an alternate client configuration directory",
        "  LXD_DIR          Path to an alternate server directory",
    ]
    return "\n".join(lines) + "\n"
