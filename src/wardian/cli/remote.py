"""lxc remote: the servers that this client knows (spec/cli.md section 7.18)."""

from __future__ import annotations

import os
import sys

from wardian.cli import output
from wardian.cli.options import Values
from wardian.cli.session import Session, dispatch, need, place
from wardian.client import config
from wardian.client.config import Remote
from wardian.client.connection import ApiError, Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wardian.model.trust import JoinToken

PROTOCOLS = ("lxd", "simplestreams")
NO_TOKEN_ADDRESS = "none of the token's addresses could be used:"


def run(session: Session, values: Values, words: list[str]) -> int:
    """Dispatch on the subcommand."""
    return dispatch(SUBCOMMANDS, session, values, words)


# --- add ---------------------------------------------------------------------------------------


def _add(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1 if values.token else 2, 2)
    name, address = words[0], words[1] if len(words) > 1 else ""
    config.check_name(name)
    if name in session.config.remotes:
        raise ApiError(f"remote {name} exists as <{session.config.remotes[name].url}>")
    if values.protocol not in PROTOCOLS:
        raise ApiError(f'invalid protocol "{values.protocol}"; use {" or ".join(PROTOCOLS)}')
    if values.protocol == "simplestreams":
        if not address.startswith("https://"):
            raise ApiError("Only https URLs are supported for simplestreams")
        _save(Remote(name, address, "simplestreams", public=True, static=False))
        return
    token = _token(values.token or address)
    if values.token and token is None:
        raise ApiError(
            "this is not a join token; `lxc config trust add --name NAME` on the server prints one"
        )
    try:
        if token is not None:
            _join(name, token, address if values.token else "")
        else:
            _meet(name, normalised(address), values)
    except BaseException:
        config.pin(name, None)
        raise


def _token(text: str) -> JoinToken | None:
    from wardian.model import trust

    return trust.decode_token(text)


def _save(remote: Remote) -> None:
    def add(changed: config.Config) -> None:
        if remote.name in changed.remotes:
            raise ApiError(f"remote {remote.name} exists as <{changed.remotes[remote.name].url}>")
        changed.remotes[remote.name] = remote

    config.change(add)


def normalised(address: str) -> str:
    """The URL of what a user calls an address; ApiError if it is none."""
    if address.startswith("unix:"):
        return address
    if address.startswith("/") or os.path.exists(address):
        return f"unix:{os.path.abspath(address)}"
    scheme, separator, rest = address.partition("://")
    if separator and scheme != "https":
        raise ApiError(f'Invalid URL scheme "{scheme}" in "{address}"')
    host = rest if separator else address
    if host.count(":") > 1 and not host.startswith("["):
        host = f"[{host}]"
    from wardian.client import tls

    found, port = tls.split(f"https://{host}")
    return f"https://[{found}]:{port}" if ":" in found else f"https://{found}:{port}"


def _join(name: str, token: JoinToken, address: str) -> None:
    """Add a server by a token: it says who the server is, so nothing is asked."""
    failures = []
    for candidate in (address,) if address else token.addresses:
        remote = Remote(name, normalised(candidate), "lxd", public=False, static=False)
        try:
            _pin_shown(remote, token.fingerprint)
            daemon = Connection(place(remote))
            _become_trusted(daemon, {"type": "client", "trust_token": token.encode()})
        except ApiError as error:
            if error.code:
                raise ApiError(_refused(error, "the token is wrong, was used, or has expired")) from None
            failures.append(f" - {remote.url}: {error}")
            continue
        _save(remote)
        print("Client certificate stored at server: ", name)
        return
    raise ApiError("\n".join((NO_TOKEN_ADDRESS, *failures)))


def _pin_shown(remote: Remote, expected: str) -> None:
    """Keep the certificate that the server shows, if it is the expected one."""
    import ssl

    from wardian.client import tls

    der = tls.HttpsPlace(remote.name, remote.url).shown_certificate()
    if tls.fingerprint(der) != expected:
        raise ApiError(
            f"the server there shows the certificate {tls.fingerprint(der)[:12]}, not {expected[:12]}"
        )
    config.pin(remote.name, ssl.DER_cert_to_PEM_cert(der))


def _meet(name: str, url: str, values: Values) -> None:
    """Add a server by its address: the user judges its certificate, the server judges us."""
    remote = Remote(name, url, "lxd", public=values.public, static=False)
    if url.startswith("https:") and not _is_vouched_for(remote):
        _ask_to_pin(remote, accept=values.accept_certificate)
    if remote.public:
        Connection(place(remote)).get("/1.0")
        _save(remote)
        return
    daemon = Connection(place(remote))
    server = daemon.get("/1.0")
    if server.get("public"):
        remote.public = True
    elif server["auth"] != "trusted":
        password = values.password or _ask_password(name)
        _become_trusted(daemon, {"type": "client", "password": password, "name": os.uname().nodename})
        print("Client certificate stored at server: ", name)
    _save(remote)


def _is_vouched_for(remote: Remote) -> bool:
    """Whether an authority of this system vouches for the server."""
    from wardian.client import tls

    try:
        tls.HttpsPlace(remote.name, remote.url, authority=config.authority()).dial().close()
    except tls.Unverified:
        return False
    return True


def _ask_to_pin(remote: Remote, *, accept: bool) -> None:
    import ssl

    from wardian.client import tls

    der = tls.HttpsPlace(remote.name, remote.url).shown_certificate()
    if not accept:
        print(f"Certificate fingerprint: {tls.fingerprint(der)}")
        print("ok (y/n)? ", end="", flush=True)
        if not sys.stdin.readline().strip().lower().startswith("y"):
            raise ApiError("Server certificate NACKed by user")
    config.pin(remote.name, ssl.DER_cert_to_PEM_cert(der))


def _ask_password(name: str) -> str:
    question = f"Admin password for {name}: "
    if not sys.stdin.isatty():
        print(question, end="", flush=True)
        text = sys.stdin.readline().rstrip("\n")
        print()
        return text
    import getpass

    return getpass.getpass(question)


def _become_trusted(daemon: Connection, request: dict[str, Any]) -> None:
    try:
        daemon.request("POST", "/1.0/certificates", request)
    except ApiError as error:
        if str(error) != "Certificate already in trust store":
            raise ApiError(
                _refused(error, "the password is wrong, or none is set there"), error.code
            ) from None
    if daemon.get("/1.0")["auth"] != "trusted":
        raise ApiError("Server doesn't trust us after adding our cert")


def _refused(error: ApiError, why: str) -> str:
    return f"not authorized: {why}" if error.code == 403 else str(error)


# --- the others --------------------------------------------------------------------------------


def _list(session: Session, values: Values, words: list[str]) -> None:
    need(words, 0, 0)
    remotes = sorted(session.config.remotes.values(), key=lambda r: r.name)
    rows = [
        [
            f"{r.name} (default)" if r.name == session.config.default else r.name,
            r.url,
            r.protocol,
            "YES" if r.public else "NO",
            "YES" if r.static else "NO",
        ]
        for r in remotes
    ]
    objects = [
        {"name": r.name, "addr": r.url, "protocol": r.protocol, "public": r.public, "static": r.static}
        for r in remotes
    ]
    if values.format not in output.FORMATS:
        raise ApiError(f'invalid format "{values.format}"')
    output.show(values.format, ("NAME", "URL", "PROTOCOL", "PUBLIC", "STATIC"), rows, objects)


def _changeable(configuration: config.Config, name: str) -> Remote:
    if name not in configuration.remotes:
        raise ApiError(f"remote {name} doesn't exist")
    if configuration.remotes[name].static:
        raise ApiError(f"remote {name} is static and cannot be modified")
    return configuration.remotes[name]


def _remove(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1, 1)

    def remove(changed: config.Config) -> None:
        _changeable(changed, words[0])
        if changed.default == words[0]:
            raise ApiError("can't remove the default remote")
        del changed.remotes[words[0]]

    config.change(remove)
    config.pin(words[0], None)


def _rename(session: Session, values: Values, words: list[str]) -> None:
    need(words, 2, 2)
    old, new = words
    config.check_name(new)

    def rename(changed: config.Config) -> None:
        remote = _changeable(changed, old)
        if new in changed.remotes:
            raise ApiError(f"remote {new} already exists")
        del changed.remotes[old]
        remote.name = new
        changed.remotes[new] = remote
        if changed.default == old:
            changed.default = new
        config.pin(new, config.pinned(old))

    config.change(rename)
    config.pin(old, None)


def _set_url(session: Session, values: Values, words: list[str]) -> None:
    need(words, 2, 2)

    def move(changed: config.Config) -> None:
        remote = _changeable(changed, words[0])
        changed.remotes[remote.name] = Remote(remote.name, words[1], "lxd", public=False, static=False)

    config.change(move)


def _set_default(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1, 1)

    def choose(changed: config.Config) -> None:
        if words[0] not in changed.remotes:
            raise ApiError(f"remote {words[0]} doesn't exist")
        changed.default = words[0]

    config.change(choose)


def _get_default(session: Session, values: Values, words: list[str]) -> None:
    need(words, 0, 0)
    print(session.config.default)


SUBCOMMANDS = {
    "add": _add,
    "list": _list,
    "remove": _remove,
    "rename": _rename,
    "set-url": _set_url,
    "set-default": _set_default,
    "switch": _set_default,
    "get-default": _get_default,
}
