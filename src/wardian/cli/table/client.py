"""The client itself, and the servers it knows."""

from __future__ import annotations

from wardian.cli.command import FORMAT, Command
from wardian.cli.options import Flag

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
        "version",
        "other:version",
        """Usage: lxc version

Print the version of the client.

Example:
    lxc version
""",
    ),
)
