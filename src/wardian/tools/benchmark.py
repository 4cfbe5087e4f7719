"""`lxd-benchmark`: how fast the daemon of this host makes, starts, stops and deletes many containers."""

import argparse
import concurrent.futures
import csv
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from wardian import __version__, programs
from wardian.cli import create, image_hosts
from wardian.cli.session import Session, container_url
from wardian.client import config
from wardian.client.connection import ApiError, Connection
from wardian.errors import InvalidInput, WardianError

MARK = "user.lxd-benchmark"
"""Key of the containers that a benchmark has made."""
MOST = 100_000
COLUMNS = ("timeStamp", "elapsed", "label", "responseCode", "success")
"""Of a report: start (ms since 1970), duration (ms), label, empty, whether all went well."""
ENVIRONMENT = (
    ("Server backend", "server"),
    ("Server version", "server_version"),
    ("Kernel", "kernel"),
    ("Kernel architecture", "kernel_architecture"),
    ("Kernel version", "kernel_version"),
    ("Storage backend", "storage"),
    ("Storage version", "storage_version"),
    ("Container backend", "driver"),
    ("Container version", "driver_version"),
)
EXAMPLES = """examples:
  lxd-benchmark launch --image debian:bookworm --count 20 --parallel 4
  lxd-benchmark stop --report-file times.csv
  lxd-benchmark delete
"""


def parser() -> programs.Parser:
    """The grammar of the command line."""
    common = programs.Parser(add_help=False)
    common.add_argument(
        "--parallel", metavar="N", type=int, default=-1, help="containers at a time (-1: one per CPU)"
    )
    common.add_argument("--report-file", metavar="FILE", help="CSV file; a line for the run is added to it")
    common.add_argument("--report-label", metavar="LABEL", help="what the line is about (the command)")
    top = programs.Parser(
        prog="lxd-benchmark",
        description="Measure how fast containers are made, started, stopped and deleted here.",
        epilog=EXAMPLES,
    )
    top.add_argument("--version", action="version", version=__version__, help="print the version")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    made = commands.add_parser(
        "launch", aliases=["spawn"], parents=[common], help="make and start containers"
    )
    made.add_argument("--count", metavar="N", type=_count, default=1, help="how many (1)")
    made.add_argument("--image", default="ubuntu:", help="of which image (ubuntu:)")
    for flag, default, what in (
        ("privileged", False, "privileged ones"),
        ("start", True, "start them once they are made"),
        ("freeze", False, "freeze each once it has started"),
    ):
        made.add_argument(
            f"--{flag}",
            metavar="BOOL",
            nargs="?",
            type=_boolean,
            const=True,
            default=default,
            help=f"{what} ({str(default).lower()})",
        )
    commands.add_parser("start", parents=[common], help="start those that were made")
    commands.add_parser("stop", parents=[common], help="stop them, by force")
    commands.add_parser("delete", parents=[common], help="delete them")
    return top


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= MOST):
        raise argparse.ArgumentTypeError(f'"{text}" is not a number from 1 to {MOST}')
    return int(text)


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f'"{text}" is neither true nor false')
    return text == "true"


@dataclass(frozen=True)
class Job:
    """What is measured: a piece of work for each container."""

    names: Sequence[str]
    work: Callable[[Session, str], None]
    """With a session of its own, since many are at work at once; ApiError if it fails."""
    at_once: int

    def batches(self) -> list[Sequence[str]]:
        """The names, as many at a time as work at once."""
        return [self.names[at : at + self.at_once] for at in range(0, len(self.names), self.at_once)]


def main(arguments: list[str]) -> int:
    """Run the program; its exit status. WardianError or ApiError for what the user must be told."""
    options = parser().parse_args(arguments)
    command = "launch" if options.command == "spawn" else str(options.command)
    if options.parallel == 0 or options.parallel < -1:
        raise InvalidInput("--parallel is -1 or a number above 0")
    if command == "launch" and options.freeze and not options.start:
        raise InvalidInput("--freeze does not go with --start=false")
    report = Report(options.report_file, options.report_label or command) if options.report_file else None
    session = Session(config.load())
    daemon, _ = session.server("local:")
    environment = daemon.get("/1.0")["environment"]
    show("Test environment", [(title, environment[key]) for title, key in ENVIRONMENT])
    at_once = options.parallel if options.parallel > 0 else os.cpu_count() or 1
    job = _launches(session, options, at_once) if command == "launch" else _others(daemon, command, at_once)
    began = time.time()
    failed = carry_out(job)
    if report:
        report.add(began, time.time() - began, success=not failed)
    if failed:
        raise WardianError(f"{failed} of {len(job.names)} containers failed, for the reasons above")
    return 0


def _launches(session: Session, options: argparse.Namespace, at_once: int) -> Job:
    count = options.count
    names = [f"benchmark-{number:0{len(str(count))}}" for number in range(1, count + 1)]
    how = "normal startup" if options.start else "no startup"
    show(
        "Test variables",
        [
            ("Container count", count),
            ("Container mode", "privileged" if options.privileged else "unprivileged"),
            ("Startup mode", "start and freeze" if options.freeze else how),
            ("Image", options.image),
            ("Batches", count // at_once),
            ("Batch size", at_once),
            ("Remainder", count % at_once),
        ],
    )
    settings = {MARK: "true"} | ({"security.privileged": "true"} if options.privileged else {})
    request = {
        "config": settings,
        "source": {"type": "image", "fingerprint": _image(session, options.image)},
    }
    steps = [action for action, wanted in (("start", options.start), ("freeze", options.freeze)) if wanted]

    def launch(own: Session, name: str) -> None:
        daemon, _ = own.server("local:")
        own.run(daemon, "POST", "/1.0/containers", request | {"name": name}, quiet=True)
        for action in steps:
            _change(own, name, action)

    return Job(names, launch, at_once)


def _image(session: Session, text: str) -> str:
    """The fingerprint of the image, which is brought into the local store first if it is elsewhere."""
    daemon, _ = session.server("local:")
    remote, name = session.config.split(text)
    if remote.url == session.config.remote("local").url:
        fingerprint = create.source_of(session, daemon, text, ["local:"])["fingerprint"]
        log(f"Found image in local store: {fingerprint}")
        return fingerprint
    log(f"Importing image into local store: {text}")
    if remote.protocol == "lxd":
        return image_hosts.copy(session, remote, name or "default", daemon, {})
    source = create.source_of(session, daemon, text, ["local:"])
    made = session.run(daemon, "POST", "/1.0/images", {"source": source})
    return str(made["metadata"]["fingerprint"])


def _others(daemon: Connection, command: str, at_once: int) -> Job:
    """A job for the containers that a benchmark has made, as far as they are not like that already."""
    doing, is_due, work = COMMANDS[command]
    found = [
        each for each in daemon.get("/1.0/containers?recursion=1") if each["config"].get(MARK) == "true"
    ]
    names = [str(each["name"]) for each in found if is_due(each["status"] == "Stopped")]
    log(f"{doing} {len(names)} containers")
    return Job(names, work, at_once)


def _start(session: Session, name: str) -> None:
    _change(session, name, "start")


def _stop(session: Session, name: str) -> None:
    _change(session, name, "stop")


def _change(session: Session, name: str, action: str) -> None:
    daemon, _ = session.server("local:")
    change = {"action": action, "timeout": -1, "force": action == "stop"}
    session.run(daemon, "PUT", container_url(name, "state"), change, quiet=True)


def _delete(session: Session, name: str) -> None:
    daemon, _ = session.server("local:")
    if daemon.get(container_url(name))["status"] != "Stopped":
        _change(session, name, "stop")
    session.run(daemon, "DELETE", container_url(name), quiet=True)


COMMANDS: dict[str, tuple[str, Callable[[bool], bool], Callable[[Session, str], None]]] = {
    "start": ("Starting", lambda is_stopped: is_stopped, _start),
    "stop": ("Stopping", lambda is_stopped: not is_stopped, _stop),
    "delete": ("Deleting", lambda is_stopped: True, _delete),
}
"""How it is said, whether it is due for a container that is stopped or not, and how it is done."""


# --- measuring ---------------------------------------------------------------------------------


def carry_out(job: Job) -> int:
    """Do it all, telling the rate after each batch; how many containers failed."""
    settings = config.load()

    def one(name: str) -> bool:
        try:
            job.work(Session(settings), name)
        except ApiError as error:
            print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
            return False
        return True

    began, done, failed = time.monotonic(), 0, 0
    log("Batch processing start")
    with concurrent.futures.ThreadPoolExecutor(job.at_once) as workers:
        for batch in job.batches():
            failed += list(workers.map(one, batch)).count(False)
            done += len(batch)
            taken = time.monotonic() - began
            log(f"Processed {done} containers in {taken:.3f}s ({done / taken:.3f}/s)")
    log(f"Batch processing completed in {time.monotonic() - began:.3f}s")
    return failed


class Report:
    """A CSV file with a line for each run. OSError if it cannot be written."""

    def __init__(self, path: str, label: str) -> None:
        self._path, self._label = path, label
        with open(path, "a") as file:
            is_new = file.tell() == 0
        if is_new:
            self._write(COLUMNS)

    def add(self, began: float, taken_s: float, *, success: bool) -> None:
        """Add a run. began: seconds since 1970."""
        self._write((int(began * 1000), int(taken_s * 1000), self._label, "", str(success).lower()))

    def _write(self, row: Sequence[object]) -> None:
        with open(self._path, "a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(row)


def show(title: str, lines: Sequence[tuple[str, object]]) -> None:
    """A block of facts."""
    print(f"{title}:")
    for name, value in lines:
        print(f"  {name}: {value}")
    print(flush=True)


def log(text: str) -> None:
    """A line with the time."""
    print(f"[{datetime.now():%b %d %H:%M:%S.%f}] {text}", flush=True)


def run() -> NoReturn:
    """Entry point of the `lxd-benchmark` program."""
    programs.run(main)
