"""The `lxd` command (spec/cli.md section 9): the daemon, and what an administrator asks of it."""

import argparse
import logging
import os
import sys
from typing import NoReturn

from wardian import __version__
from wardian.errors import WardianError
from wardian.model.paths import Paths

DESCRIPTION = "The system container manager's daemon. Without a command it runs in the foreground."
EXAMPLES = """examples:
  lxd --group lxd --logfile /var/log/lxd/lxd.log     run the daemon
  lxd init --auto                                    set up storage and network with good defaults
  lxd waitready --timeout 30                         wait until the daemon answers
  lxd image-server build /srv/images                 a folder to serve images from, over https
  LXD_DIR=/srv/lxd2 lxd                              a second daemon beside the first
"""

LOG_FORMAT = 't=%(asctime)s lvl=%(levelname)s msg="%(message)s" logger=%(name)s'


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="log everything")
    common.add_argument("--verbose", action="store_true", default=argparse.SUPPRESS, help="log more")
    common.add_argument("--logfile", metavar="FILE", default=argparse.SUPPRESS, help="log to a file")
    daemon = argparse.ArgumentParser(add_help=False)
    daemon.add_argument("--group", default=argparse.SUPPRESS, help="group that may use the socket")
    top = argparse.ArgumentParser(
        prog="lxd",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        parents=[common, daemon],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("daemon", parents=[common, daemon], help="run the daemon (the default)")
    ready = commands.add_parser("waitready", parents=[common], help="wait until the daemon answers")
    ready.add_argument("--timeout", type=float, default=15, metavar="N", help="seconds (15)")
    down = commands.add_parser("shutdown", parents=[common], help="stop all containers and the daemon")
    down.add_argument("--timeout", type=float, default=60, metavar="N", help="seconds (60)")
    commands.add_parser(
        "activateifneeded", parents=[common], help="start a socket-activated daemon if containers need it"
    )
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
    commands.add_parser("init", add_help=False, help="set up storage and network: `lxd init --help`")
    return top


def main(arguments: list[str]) -> int:
    """Run the command; its exit status. WardianError for a failure to tell the user."""
    paths = Paths.of(os.environ.get("LXD_DIR"))
    if arguments[:1] == ["init"]:
        from wardian.daemon.setup import run_init

        return run_init(arguments[1:], os.environ.get("LXD_DIR"))
    options = parser().parse_args(arguments)
    level = _set_up_log(options)
    command = options.command or "daemon"
    if command in ("daemon", "activateifneeded", "image-server") and os.geteuid() != 0:
        raise WardianError("This must be run as root")
    if command == "daemon":
        from wardian.daemon.serve import serve

        serve(paths, group=getattr(options, "group", ""), log_level=level)
        return 0
    if command == "image-server":
        from wardian.daemon.image_server import build

        return build(paths, options.folder, options.images, everything=options.all, prune=options.prune)
    return _control(command, paths, options)


def _control(command: str, paths: Paths, options: argparse.Namespace) -> int:
    from wardian.daemon import control

    if command == "waitready":
        if not control.wait_ready(paths, options.timeout):
            raise WardianError(f"LXD still not running after {options.timeout:g}s timeout.")
    elif command == "shutdown":
        if not control.is_running(paths):
            raise WardianError(f'the daemon of "{paths.root}" is not running')
        try:
            if not control.shut_down(paths, options.timeout):
                raise WardianError(f"LXD still running after {options.timeout:g}s timeout.")
        except OSError as error:
            raise WardianError(
                f'cannot reach the daemon at "{paths.socket}": {error.strerror}; is it running?'
            ) from error
    elif not control.is_running(paths) and (reason := control.activation_reason(paths)):
        logging.getLogger(__name__).debug(reason)
        control.request(paths, "GET", "/1.0")
    return 0


def _set_up_log(options: argparse.Namespace) -> str:
    """Log to stderr or the file that was asked for; returns the level for liblxc's own log."""
    debug, verbose = getattr(options, "debug", False), getattr(options, "verbose", False)
    level = logging.DEBUG if debug else logging.INFO if verbose else logging.WARNING
    logfile = getattr(options, "logfile", "")
    handler = logging.FileHandler(logfile) if logfile else logging.StreamHandler()
    handler.setLevel(level)
    handler.setFormatter(logging.Formatter(LOG_FORMAT, "%Y-%m-%dT%H:%M:%S%z"))
    logging.getLogger().addHandler(handler)
    logging.getLogger("wardian").setLevel(logging.DEBUG)
    return {logging.DEBUG: "trace", logging.INFO: "info"}.get(level, "warn")


def run() -> NoReturn:
    """Entry point of the `lxd` program."""
    try:
        sys.exit(main(sys.argv[1:]))
    except WardianError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run()
