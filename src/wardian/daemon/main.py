"""The `lxd` command (spec/cli.md section 9): the daemon, and what an administrator asks of it."""

import argparse
import gc
import os
from typing import NoReturn

from wardian import __version__, programs
from wardian.daemon import logs, setup_options
from wardian.errors import WardianError
from wardian.model.paths import Paths

DESCRIPTION = "The system container manager's daemon. Without a command it runs in the foreground."
USAGE = "lxd [COMMAND] [FLAGS]"
EXAMPLES = """examples:
  lxd --group lxd --logfile /var/log/lxd/lxd.log     run the daemon
  lxd init --auto                                    set up storage and network with good defaults
  lxd waitready --timeout 30                         wait until it is up and has started its containers
  lxd image-server build /srv/images                 a folder to serve images from, over https
  LXD_DIR=/srv/lxd2 lxd                              a second daemon beside the first
"""
FOR_ROOT = ("daemon", "activateifneeded", "image-server", "init")
"""Commands that nobody else may use."""


class Parser(programs.Parser):
    """Of a command that does not exist it says what the specification prints."""

    def error(self, message: str) -> NoReturn:
        """See programs.Parser."""
        super().error("Unknown arguments" if message.startswith("argument COMMAND:") else message)


def parser() -> Parser:
    """The grammar of the command line."""
    common, daemon = _common_flags(), _daemon_flags()
    top = Parser(prog="lxd", usage=USAGE, description=DESCRIPTION, epilog=EXAMPLES, parents=[common, daemon])
    commands = top.add_subparsers(dest="command", metavar="COMMAND", prog="lxd")

    def add(name: str, help: str, *parents: Parser, epilog: str = "") -> Parser:
        made: Parser = commands.add_parser(
            name,
            help=help,
            description=help[0].upper() + help[1:] + ".",
            epilog=epilog,
            parents=[common, *parents],
        )
        return made

    add("daemon", "run the daemon in the foreground (the default)", daemon)
    ready = add("waitready", "wait until the daemon has started its containers")
    ready.add_argument("--timeout", type=programs.seconds, default=15, metavar="N", help="seconds (15)")
    add("ready", 'let a daemon in setup mode (file ".setup_mode" in its folder) start its containers')
    down = add("shutdown", "stop all containers and the daemon")
    down.add_argument("--timeout", type=programs.seconds, default=60, metavar="N", help="seconds (60)")
    add("activateifneeded", "start a socket-activated daemon if containers need it")
    setup_options.add(add("init", setup_options.HELP, epilog=setup_options.EXAMPLES))
    server = commands.add_parser(
        "image-server", help="make a folder that any web server can serve images from"
    )
    actions = server.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser(
        "build", parents=[common], help="write public images of the store into a folder, in simplestreams"
    )
    build.add_argument("folder", metavar="DIR", help="folder, made if need be; later runs update it")
    build.add_argument(
        "images", metavar="IMAGE", nargs="*", help="alias or fingerprint; none: all public ones"
    )
    build.add_argument("--all", action="store_true", help="private images as well")
    build.add_argument(
        "--prune", action="store_true", help="remove files of images that are not offered now"
    )
    return top


def _common_flags() -> Parser:
    common = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--debug", action="store_true", help="log everything")
    common.add_argument("--verbose", action="store_true", help="log more")
    common.add_argument("--logfile", metavar="FILE", help="log to a file, not to standard error")
    common.add_argument("--syslog", action="store_true", help="log to the system's log")
    common.add_argument("--version", action="version", version=__version__, help="print the version")
    return common


def _daemon_flags() -> Parser:
    daemon = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    daemon.add_argument("--group", metavar="GROUP", help="group that may use the socket")
    daemon.add_argument(
        "--cpuprofile", metavar="FILE", help="write where the time went, when the daemon ends (pstats)"
    )
    daemon.add_argument("--memprofile", metavar="FILE", help="write where memory is held, at each SIGUSR1")
    daemon.add_argument(
        "--print-goroutines-every",
        metavar="N",
        type=programs.seconds,
        help="print tasks and threads every N seconds",
    )
    return daemon


def main(arguments: list[str]) -> int:
    """Run the command; its exit status. WardianError for a failure to tell the user."""
    options = parser().parse_args(arguments)
    command = options.command or "daemon"
    if command in FOR_ROOT and os.geteuid() != 0:
        raise WardianError("This must be run as root")
    level = logs.set_up(options)
    paths = Paths.of(os.environ.get("LXD_DIR"))
    if command == "daemon":
        _serve(paths, options, level)
    elif command == "init":
        from wardian.daemon.setup import run_init

        run_init(options)
    elif command == "image-server":
        from wardian.daemon.image_server import build

        return build(paths, options.folder, options.images, everything=options.all, prune=options.prune)
    else:
        _control(command, paths, options)
    return 0


def _serve(paths: Paths, options: argparse.Namespace, level: str) -> None:
    gc.disable()  # what is imported stays: looking for garbage among it takes a seventh of the start
    from wardian.daemon.debugging import Debugging
    from wardian.daemon.serve import serve

    gc.freeze()
    gc.enable()
    debugging = Debugging(
        getattr(options, "cpuprofile", ""),
        getattr(options, "memprofile", ""),
        getattr(options, "print_goroutines_every", 0.0),
    )
    serve(paths, group=getattr(options, "group", ""), log_level=level, debugging=debugging)


def _control(command: str, paths: Paths, options: argparse.Namespace) -> None:
    from wardian.daemon import control

    if command == "activateifneeded":
        control.activate_if_needed(paths)
    elif command == "waitready":
        if not control.wait_ready(paths, options.timeout):
            raise WardianError(f"LXD still not running after {options.timeout:g}s timeout.")
    elif not control.is_running(paths):
        raise WardianError(f'the daemon of "{paths.root}" is not running')
    elif command == "ready":
        control.ask(paths, "PUT", "/internal/ready")
    elif not control.shut_down(paths, options.timeout):
        raise WardianError(f"LXD still running after {options.timeout:g}s timeout.")


def run() -> NoReturn:
    """Entry point of the `lxd` program."""
    programs.run(main)


if __name__ == "__main__":
    run()
