"""lxc config trust: who may use a server over the network."""

from __future__ import annotations

import os
import sys

from wardian.cli import editor, output
from wardian.cli.options import Values
from wardian.cli.session import Session, dispatch, need
from wardian.client.connection import ApiError, Connection, quote

PATH = "/1.0/certificates"
TOKENS = "/1.0/certificate-tokens"
HEADERS = ("FINGERPRINT", "COMMON NAME", "ISSUE DATE", "EXPIRY DATE")
RIGHTS = "MAY USE"
WRITABLE = ("name", "type", "read_only", "containers")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(session: Session, values: Values, words: list[str]) -> int:
    """Dispatch on the subcommand."""
    return dispatch(SUBCOMMANDS, session, values, words)


def _server(session: Session, words: list[str]) -> tuple[Connection, list[str]]:
    """(daemon, remaining words) of `[remote:] ...`."""
    if words and words[0].endswith(":"):
        return session.server(words[0])[0], words[1:]
    return session.server(f"{session.config.default}:")[0], words


def _list(session: Session, values: Values, words: list[str]) -> None:
    daemon, rest = _server(session, words)
    need(rest, 0, 0)
    from wardian.model import access, certificates

    found = daemon.get(f"{PATH}?recursion=1")
    rights = [
        access.make(read_only=one.get("read_only", False), containers=one.get("containers")) for one in found
    ]
    some_restricted = not all(one.is_full for one in rights)
    rows = []
    for one, may in zip(found, rights, strict=True):
        facts = certificates.facts(certificates.to_der(one["certificate"]))
        dates = [output.long_time(date.isoformat()) for date in (facts.not_before, facts.not_after)]
        told = [may.describe()] if some_restricted else []
        rows.append([one["fingerprint"][:12], facts.common_name, *dates, *told])
    _show(values, (*HEADERS, RIGHTS) if some_restricted else HEADERS, sorted(rows), found)


def _show(values: Values, headers: tuple[str, ...], rows: list[list[str]], objects: object) -> None:
    if values.format not in output.FORMATS:
        raise ApiError(f'invalid format "{values.format}"')
    output.show(values.format, headers, rows, objects)


def _add(session: Session, values: Values, words: list[str]) -> None:
    daemon, rest = _server(session, words)
    if not rest:
        if not values.name:
            raise ApiError("No certificate provided to add; for a join token, name the client: --name NAME")
        _print_token(daemon, values)
        return
    need(rest, 1, 1)
    from wardian.errors import WardianError
    from wardian.model import certificates

    try:
        with open(rest[0]) as file:
            der = certificates.to_der(file.read(4 * certificates.LARGEST_BYTES))
    except OSError as error:
        raise ApiError(f'cannot read "{rest[0]}": {error.strerror}') from None
    except (WardianError, UnicodeDecodeError) as error:
        raise ApiError(f'"{rest[0]}" is not a certificate: {error}') from None
    name = values.name or os.path.splitext(os.path.basename(rest[0]))[0]
    body = certificates.to_pem(der).splitlines()[1:-1]
    request = {"type": "client", "certificate": "".join(body), "name": name}
    daemon.request("POST", PATH, request | _rights(values))


def _rights(values: Values) -> dict[str, Any]:
    """What the certificate may do, if that is not everything."""
    wanted: dict[str, Any] = {"read_only": True} if values.read_only else {}
    if values.containers:
        wanted["containers"] = [name for name in values.containers.split(",") if name]
    return wanted


def _print_token(daemon: Connection, values: Values) -> None:
    from wardian.model.trust import JoinToken

    request = {"type": "client", "name": values.name, "token": True}
    request |= _rights(values)
    request |= {"expiry": values.expiry} if values.expiry else {}
    made = daemon.request("POST", PATH, request)[0]["metadata"]["metadata"]
    token = JoinToken(
        name=made["request"]["name"],
        fingerprint=made["fingerprint"],
        addresses=tuple(made["addresses"]),
        secret=made["secret"],
        expires_at=made["expiresAt"],
    )
    if sys.stdout.isatty():
        print(f"Client {token.name} certificate add token, good until {output.time(token.expires_at)}:")
    print(token.encode())


def _remove(session: Session, values: Values, words: list[str]) -> None:
    daemon, rest = _server(session, words)
    if not rest:
        raise ApiError("No fingerprint specified.")
    need(rest, 1, 1)
    daemon.request("DELETE", f"{PATH}/{quote(rest[0])}")


def _show_one(session: Session, values: Values, words: list[str]) -> None:
    daemon, rest = _server(session, words)
    need(rest, 1, 1)
    sys.stdout.write(output.yaml(daemon.get(f"{PATH}/{quote(rest[0])}")))


def _edit(session: Session, values: Values, words: list[str]) -> None:
    daemon, rest = _server(session, words)
    need(rest, 1, 1)
    url = f"{PATH}/{quote(rest[0])}"
    found, headers = daemon.request("GET", url)
    present = {key: found["metadata"][key] for key in WRITABLE if key in found["metadata"]}

    def apply(wanted: dict[str, Any]) -> None:
        daemon.request("PUT", url, wanted, {"If-Match": headers["etag"]})

    editor.edit(present, editor.CERTIFICATE, apply)


def _list_tokens(session: Session, values: Values, words: list[str]) -> None:
    daemon, rest = _server(session, words)
    need(rest, 0, 0)
    found = daemon.get(TOKENS)
    rows = [[one["name"], output.long_time(one["expires_at"])] for one in found]
    _show(values, ("NAME", "EXPIRY DATE"), rows, found)


def _revoke_token(session: Session, values: Values, words: list[str]) -> None:
    daemon, rest = _server(session, words)
    need(rest, 1, 1)
    daemon.request("DELETE", f"{TOKENS}/{quote(rest[0])}")


SUBCOMMANDS = {
    "list": _list,
    "add": _add,
    "remove": _remove,
    "show": _show_one,
    "edit": _edit,
    "list-tokens": _list_tokens,
    "revoke-token": _revoke_token,
}
