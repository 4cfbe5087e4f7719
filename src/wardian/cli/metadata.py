"""lxc config metadata, lxc config template: what a container keeps of its image."""

from __future__ import annotations

import os
import sys

from wardian.cli import editor, output
from wardian.cli.options import Values
from wardian.cli.session import Session, UsageError, container_url, need
from wardian.client.connection import ApiError, envelope, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wardian.client.connection import Connection


class Owner:
    """A container, whose metadata and templates are meant."""

    def __init__(self, session: Session, word: str) -> None:
        self.daemon: Connection
        self.daemon, self.name = session.server(word)
        if not self.name:
            raise ApiError(f'Must supply container name for: "{word}"')
        self.path = container_url(self.name, "metadata")

    def template(self, name: str) -> str:
        """The address of a template."""
        return f"{self.path}/templates?path={quote(name).replace('/', '%2F')}"

    def read(self, name: str) -> bytes:
        """The text of a template."""
        response = self.daemon.send("GET", self.template(name))
        if response.status != 200:
            envelope(response)
        return response.read()

    def write(self, name: str, text: bytes) -> None:
        """Make a template, or replace it."""
        envelope(self.daemon.send("POST", self.template(name), text))


def run(session: Session, kind: str, values: Values, words: list[str]) -> int:
    """Dispatch on the subcommand. kind: metadata or template."""
    if not words or (kind, words[0]) not in SUBCOMMANDS:
        raise UsageError
    function, number = SUBCOMMANDS[kind, words[0]]
    need(words[1:], number, number)
    function(Owner(session, words[1]), values, *words[2:])
    return 0


def _show(owner: Owner, values: Values) -> None:
    sys.stdout.write(output.yaml(owner.daemon.get(owner.path)))


def _edit(owner: Owner, values: Values) -> None:
    found, headers = owner.daemon.request("GET", owner.path)

    def apply(wanted: dict[str, Any]) -> None:
        owner.daemon.request("PUT", owner.path, wanted, {"If-Match": headers["etag"]})

    editor.edit(found["metadata"], editor.METADATA, apply, read=editor.load)


def _list(owner: Owner, values: Values) -> None:
    output.check_format(values.format)
    found = owner.daemon.get(f"{owner.path}/templates")
    output.show(values.format, ("FILENAME",), [[name] for name in found], found)


def _show_template(owner: Owner, values: Values, name: str) -> None:
    sys.stdout.buffer.write(owner.read(name))


def _create(owner: Owner, values: Values, name: str) -> None:
    if name in owner.daemon.get(f"{owner.path}/templates"):
        raise ApiError(f"Template {name} already exists")
    owner.write(name, editor.piped().encode())


def _edit_template(owner: Owner, values: Values, name: str) -> None:
    if not sys.stdin.isatty():
        owner.write(name, sys.stdin.buffer.read())
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="lxd_template_") as folder:
        path = os.path.join(folder, "template")
        with open(path, "wb") as file:
            file.write(owner.read(name))
        editor.edit_file(path)
        with open(path, "rb") as file:
            owner.write(name, file.read())


def _delete(owner: Owner, values: Values, name: str) -> None:
    owner.daemon.request("DELETE", owner.template(name))


SUBCOMMANDS: dict[tuple[str, str], tuple[Any, int]] = {
    ("metadata", "show"): (_show, 1),
    ("metadata", "edit"): (_edit, 1),
    ("template", "list"): (_list, 1),
    ("template", "show"): (_show_template, 2),
    ("template", "create"): (_create, 2),
    ("template", "edit"): (_edit_template, 2),
    ("template", "delete"): (_delete, 2),
}
"""(kind, word) -> (function, number of words after it)."""
