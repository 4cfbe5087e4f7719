"""What is done in a container."""

from __future__ import annotations

from wardian.cli.command import Command
from wardian.cli.options import Flag

COMMANDS = (
    Command(
        "console",
        "console:run",
        """Usage: lxc console [<remote>:]<container> [--show-log]

Attach to the console of a container.

It is the terminal on which init writes its messages; Ctrl-a q leaves it, Ctrl-a twice sends one Ctrl-a.

Examples:
    lxc console c1
    lxc console c1 --show-log
""",
        (Flag("show-log", "bool", "Print what the console has shown since the start"),),
        completes="container",
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
            Flag("t,force-interactive", "bool", "Make a terminal (same as --mode=interactive)"),
            Flag("T,force-noninteractive", "bool", "Make no terminal (same as --mode=non-interactive)"),
            Flag("n,disable-stdin", "bool", "Give the command no input"),
            Flag(
                "mode",
                "str",
                "Override the terminal mode (auto, interactive or non-interactive)",
                "auto",
                values="auto interactive non-interactive",
            ),
            Flag("env", "list", "An environment variable of the form HOME=/home/foo"),
            Flag("user", "int", "User id to run the command as", -1),
            Flag("group", "int", "Group id to run the command as", -1),
            Flag("cwd", "str", "Folder to run the command in"),
        ),
        stop_at=2,
        completes="container,",
    ),
    Command(
        "file",
        "file:run",
        """Usage: lxc file pull|push|edit|delete|mkdir|create ...

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

lxc file create [-p] [--type file|directory|symlink] [<remote>:]<container>/<path> [<target of the link>]
    Make an empty file, a folder or a link.

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
            Flag(
                "type",
                "str",
                "What to create (file, directory or symlink)",
                "file",
                values="file directory symlink",
            ),
        ),
        subcommands="pull push edit delete mkdir create",
        completes="container",
    ),
    Command(
        "shell",
        "exec:shell",
        """Usage: lxc shell [<remote>:]<container>

Open a login shell in a container.

It is root's, as `lxc exec <container> -- su -l` opens it.

Example:
    lxc shell c1
""",
        completes="container",
    ),
)
