"""lxc image: the store of images, and what remotes offer."""

from __future__ import annotations

import os
import sys

from wardian.cli import editor, image_fetch, image_list, image_transfer, output
from wardian.cli.image_hosts import resolve
from wardian.cli.options import Values
from wardian.cli.session import Session, UsageError, dispatch, need
from wardian.client.connection import ApiError, Connection, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(session: Session, values: Values, words: list[str]) -> int:
    """Dispatch on the subcommand."""
    return dispatch(SUBCOMMANDS, session, values, words)


def _object(session: Session, word: str) -> dict[str, Any]:
    """The image that a word names, of the store or of an image server."""
    remote, name = session.config.split(word)
    if remote.protocol == "simplestreams":
        from wardian.client import simplestreams

        return simplestreams.as_object(*simplestreams.find(remote, name))
    if remote.protocol == "bootstrap":
        return image_list.offer(name or "default")
    daemon = session.at(remote)
    found: dict[str, Any] = daemon.get(_url(daemon, name))
    return found


def _url(daemon: Connection, name: str) -> str:
    return f"/1.0/images/{quote(resolve(daemon, name))}"


def _import(session: Session, values: Values, words: list[str]) -> None:
    remote = next((w for w in words if w.endswith(":") and not os.path.exists(w)), "")
    properties = [w for w in words if "=" in w and not os.path.exists(w)]
    paths = [w for w in words if w != remote and w not in properties]
    need(paths, 1, 2)
    daemon, _ = session.server(remote or f"{session.config.default}:")
    if paths[0].startswith(("http://", "https://")):
        need(paths, 1, 1)
        fingerprint = image_fetch.from_url(
            session, daemon, paths[0], public=values.public, properties=properties
        )
    else:
        fingerprint = image_transfer.upload(
            session, daemon, paths, public=values.public, properties=properties
        )
    for alias in values.alias:
        image_fetch.move_alias(daemon, alias, fingerprint)
    print(f"Image imported with fingerprint: {fingerprint}")


def _export(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1, 2)
    target = words[1] if len(words) > 1 else "."
    remote, name = session.config.split(words[0])
    if remote.protocol == "simplestreams":
        from wardian.client import simplestreams

        simplestreams.save(remote, name, target)
    else:
        daemon = session.at(remote)
        image_transfer.download(session, daemon, resolve(daemon, name), target)
    if len(words) < 2 or words[1] != "-":
        print("Image exported successfully!")


def _delete(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1)
    for word in words:
        daemon, name = session.server(word)
        session.run(daemon, "DELETE", _url(daemon, name), quiet=True)


def _info(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1, 1)
    image = _object(session, words[0])
    times = [
        ("Created", output.time(image["created_at"])),
        ("Uploaded", output.time(image["uploaded_at"])),
        ("Expires", output.time(image["expires_at"]) or "never"),
        ("Last used", output.time(image["last_used_at"]) or "never"),
    ]
    is_made = bool(image["fingerprint"])  # what debian: offers is not
    lines = [
        f"Fingerprint: {image['fingerprint'] or 'none yet, it is built here'}",
        *([f"Size: {image['size'] / 1024**2:.2f}MB"] if is_made else []),
        f"Architecture: {image['architecture']}",
        f"Public: {'yes' if image['public'] else 'no'}",
        "Timestamps:",
        *(f"    {label}: {text}" for label, text in times if text),
        "Properties:",
        *(f"    {key}: {value}" for key, value in sorted(image["properties"].items())),
        "Aliases:",
        *(
            f"    - {a['name']}{' (' + a['description'] + ')' if a['description'] else ''}"
            for a in image["aliases"]
        ),
        f"Cached: {'yes' if image['cached'] else 'no'}",
        f"Auto update: {'enabled' if image['auto_update'] else 'disabled'}",
    ]
    origin = image.get("update_source")
    if origin:
        lines += ["Source:", f"    Server: {origin['server']}", f"    Protocol: {origin['protocol']}"]
        lines.append(f"    Alias: {origin['alias']}")
    print("\n".join(lines))


def _writable(image: dict[str, Any]) -> dict[str, Any]:
    return {key: image[key] for key in ("auto_update", "properties", "public")}


def _show(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1, 1)
    sys.stdout.write(output.yaml(_writable(_object(session, words[0]))))


def _refresh(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1)
    for word in words:
        daemon, name = session.server(word)
        image_fetch.refresh(session, daemon, _url(daemon, name))


def _edit(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1, 1)
    daemon, name = session.server(words[0])
    url = _url(daemon, name)
    found, headers = daemon.request("GET", url)

    def apply(wanted: dict[str, Any]) -> None:
        body = {key: wanted[key] for key in ("auto_update", "properties", "public") if key in wanted}
        daemon.request("PUT", url, body, {"If-Match": headers["etag"]})

    editor.edit(_writable(found["metadata"]), editor.IMAGE, apply)


def _get_property(session: Session, values: Values, words: list[str]) -> None:
    need(words, 2, 2)
    print(_object(session, words[0])["properties"].get(words[1], ""))


def _set_property(session: Session, values: Values, words: list[str]) -> None:
    need(words, 3, 3)
    _change_property(session, words[0], words[1], words[2])


def _unset_property(session: Session, values: Values, words: list[str]) -> None:
    need(words, 2, 2)
    _change_property(session, words[0], words[1], None)


def _change_property(session: Session, word: str, key: str, value: str | None) -> None:
    daemon, name = session.server(word)
    url = _url(daemon, name)
    found, headers = daemon.request("GET", url)
    body = _writable(found["metadata"])
    properties = {k: v for k, v in body["properties"].items() if k != key}
    if value is None and key not in body["properties"]:
        raise ApiError(f"Can't unset property '{key}', it's not currently set")
    body["properties"] = properties if value is None else {**properties, key: value}
    daemon.request("PUT", url, body, {"If-Match": headers["etag"]})


def _alias(session: Session, values: Values, words: list[str]) -> None:
    need(words, 1)
    action, *rest = words
    if action == "list":
        image_list.aliases(session, values, rest)
        return
    if action == "create":
        need(rest, 2, 2)
        daemon, alias = session.server(rest[0])
        daemon.request("POST", "/1.0/images/aliases", {"name": alias, "target": resolve(daemon, rest[1])})
    elif action == "rename":
        need(rest, 2, 2)
        daemon, alias = session.server(rest[0])
        daemon.request("POST", f"/1.0/images/aliases/{quote(alias)}", {"name": rest[1]})
    elif action == "delete":
        need(rest, 1, 1)
        daemon, alias = session.server(rest[0])
        daemon.request("DELETE", f"/1.0/images/aliases/{quote(alias)}")
    else:
        raise UsageError


def _build(session: Session, values: Values, words: list[str]) -> None:
    from wardian.cli import image_build

    image_build.build(session, values, words)


SUBCOMMANDS = {
    "build": _build,
    "import": _import,
    "copy": image_fetch.copy,
    "refresh": _refresh,
    "export": _export,
    "delete": _delete,
    "info": _info,
    "show": _show,
    "edit": _edit,
    "get-property": _get_property,
    "set-property": _set_property,
    "unset-property": _unset_property,
    "list": image_list.images,
    "alias": _alias,
}
