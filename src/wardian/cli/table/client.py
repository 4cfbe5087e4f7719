"""The client itself, and the servers it knows."""

from __future__ import annotations

from wardian.cli.command import FORMAT, Command
from wardian.cli.options import Flag

COMMANDS = (
    Command(
        "alias",
        "alias:run",
        """Usage: lxc alias list|add|remove|rename ...

Manage short names for commands.

lxc alias list
lxc alias add <alias> <command>
    The words of the alias stand for those of the command; what follows is appended, or goes where the
    command says @ARGS@.
lxc alias remove <alias>
lxc alias rename <alias> <new name>

Examples:
    lxc alias add sh "exec @ARGS@ -- su -l"
    lxc alias add list "list -c ns46"
""",
        (FORMAT,),
        subcommands="list add remove rename",
        completes="alias",
        hidden=True,
    ),
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
        completes="command",
    ),
    Command(
        "manpage",
        "manpage:run",
        """Usage: lxc manpage <folder>

Write the manual pages of all commands.

They are lxc.1 and one lxc.COMMAND.1 for each; the folder is made if it is not there.

Example:
    lxc manpage /usr/local/share/man/man1
""",
        hidden=True,
    ),
    Command(
        "monitor",
        "monitor:run",
        """Usage: lxc monitor [<remote>:] [--type=TYPE...] [--format yaml|json|pretty] [--loglevel LEVEL]

Monitor activity on the server.

A server that goes is listened to again as soon as it is there; what happened in between is not told.

Types: logging, operation, lifecycle; all of them unless told otherwise.

Examples:
    lxc monitor --type=lifecycle
    lxc monitor --pretty
""",
        (
            Flag("type", "list", "Event type to listen for", values="logging operation lifecycle"),
            Flag("f,format", "str", "Format (yaml|json|pretty)", "yaml", values="yaml json pretty"),
            Flag("pretty", "bool", "A line for each event (same as --format=pretty)"),
            Flag("loglevel", "str", "The least important lines of the log that are shown, as in warning"),
        ),
        hidden=True,
    ),
    Command(
        "operation",
        "operation:run",
        """Usage: lxc operation list|show|delete ...

Manage what is under way on a server.

lxc operation list [<remote>:]
lxc operation show [<remote>:]<operation>
lxc operation delete [<remote>:]<operation>
    Cancel it, where that is possible.

Examples:
    lxc operation list
    lxc operation delete 344a79e4-d88a-45bf-9c39-c72c26f6ab8a
""",
        (FORMAT,),
        subcommands="list show delete",
        completes="operation",
        hidden=True,
    ),
    Command(
        "query",
        "query:run",
        """Usage: lxc query [-X METHOD] [-d DATA] [--wait] [--raw] [<remote>:]<path>

Send a raw request to the server.

The answer's metadata is printed as JSON; with --raw all of the answer. With --wait the end of the
operation that the request begins is awaited and printed. DATA is JSON, or "-" for standard input;
without -X it is sent by POST.

Examples:
    lxc query /1.0/containers/c1/state
    lxc query -X PATCH -d '{"config": {"user.a": "b"}}' /1.0/profiles/default
    lxc query -X DELETE --wait host2:/1.0/containers/c1
""",
        (
            Flag(
                "X,request",
                "str",
                "Method of the request (default: GET)",
                values="GET POST PUT PATCH DELETE",
            ),
            Flag("d,data", "str", "What to send, as JSON"),
            Flag("raw", "bool", "Print the whole answer"),
            Flag("wait", "bool", "Wait for the operation to end"),
        ),
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
lxc remote set-default|switch <remote>
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
            Flag(
                "protocol",
                "str",
                "Server protocol (lxd or simplestreams)",
                "lxd",
                values="lxd simplestreams",
            ),
            FORMAT,
        ),
        subcommands="add list remove rename set-url set-default switch get-default",
        completes="remote",
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
