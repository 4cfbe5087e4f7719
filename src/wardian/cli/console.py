"""lxc console: the console of a container, and what it has shown."""

from __future__ import annotations

import sys

from wardian.cli import exec
from wardian.cli.options import Values
from wardian.cli.session import Session, container_url, need
from wardian.client.connection import ApiError, envelope


def run(session: Session, values: Values, words: list[str]) -> int:
    """Connect our terminal with the console until Ctrl-a q, or print what it has shown."""
    need(words, 1, 1)
    daemon, name = session.server(words[0])
    if not name:
        raise ApiError(f'Must supply container name for: "{words[0]}"')
    path = container_url(name, "console")
    if values.show_log:
        response = daemon.send("GET", path)
        if response.status != 200:
            envelope(response)
        print("\nConsole log:\n", flush=True)
        for chunk in response.chunks():
            sys.stdout.buffer.write(chunk)
        print()
        return 0
    return attach(session, words[0])


def attach(session: Session, word: str) -> int:
    """Connect our terminal with the console of `[remote:]container` until Ctrl-a q; the exit status."""
    daemon, name = session.server(word)
    path = container_url(name, "console")
    width, height = exec.terminal_size()
    operation = daemon.request("POST", path, {"width": width, "height": height})[0]["metadata"]
    streams = exec.connect(daemon.place, operation)
    finish = daemon.ask(f"/1.0/operations/{operation['id']}/wait")
    exec.interact(streams)
    finished = finish()
    if finished["status_code"] != 200:
        raise ApiError(finished["err"] or finished["status"])
    return int(finished["metadata"]["return"])
