"""Lists of images and aliases: of the store, of image servers, and what debian: offers."""

from __future__ import annotations

import os
import re

from wardian.cli import output
from wardian.cli.options import Values
from wardian.cli.session import Session
from wardian.client import config
from wardian.client.connection import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

DEFAULT = "lfpdasu"


def images(session: Session, values: Values, words: list[str]) -> None:
    """Print the images that match all filters."""
    remote, filters = _split(session, words)
    if values.format not in output.FORMATS:
        raise ApiError(f'invalid format "{values.format}"')
    columns = values.columns or DEFAULT
    for letter in columns:
        if letter not in COLUMNS:
            raise ApiError(
                f"Unknown column shorthand char '{letter}' in '{columns}'; use {''.join(COLUMNS)}"
            )
    cells = [COLUMNS[letter][1] for letter in columns]
    if remote.protocol == "bootstrap":
        found = offers()
    elif remote.protocol == "simplestreams":
        from wardian.client import simplestreams

        found = simplestreams.images(remote)
    else:
        found = session.at(remote).get("/1.0/images?recursion=1")
    found = [image for image in found if all(matches(image, text) for text in filters)]
    found.sort(key=lambda image: [(not cell, cell) for cell in (COLUMNS[c][1](image) for c in DEFAULT)])
    headers = [COLUMNS[letter][0] for letter in columns]
    output.show(values.format, headers, [[cell(image) for cell in cells] for image in found], found)


def _split(session: Session, words: list[str]) -> tuple[config.Remote, list[str]]:
    if words and ":" in words[0] and "=" not in words[0]:
        name, _, rest = words[0].partition(":")
        return session.config.remote(name), ([rest] if rest else []) + words[1:]
    return session.config.remote(session.config.default), words


def offers() -> list[dict[str, Any]]:
    """What the remote debian: can build, in the shape of images."""
    from wardian.model import bootstrap

    return [_offer(suite, debian) for suite in bootstrap.SUITES for debian in bootstrap.ARCHITECTURES]


def _offer(suite: str, debian: str) -> dict[str, Any]:
    from wardian.model import bootstrap

    suffix = "" if debian == "amd64" else f"/{debian}"
    description = f"Debian {suite} {debian} (built here)"
    return {
        "fingerprint": "",
        "public": True,
        "architecture": bootstrap.ARCHITECTURES[debian],
        "size": 0,
        **dict.fromkeys(("created_at", "uploaded_at", "expires_at", "last_used_at"), ""),
        "auto_update": False,
        "cached": False,
        "properties": {"os": "Debian", "release": suite, "description": description},
        "aliases": [
            {"name": name + suffix, "description": ""} for name in (suite, *bootstrap.SUITES[suite])
        ],
    }


def offer(name: str) -> dict[str, Any]:
    """What the remote debian: builds under a name; ApiError if it is none."""
    from wardian.model import bootstrap

    found = bootstrap.resolve(name, os.uname().machine)
    if found is None:
        raise ApiError(f'debian: has no "{name}"; there are {", ".join(bootstrap.SUITES)}')
    return _offer(*found)


def _alias(image: dict[str, Any]) -> str:
    names = [alias["name"] for alias in image["aliases"]]
    shown: str = min(names, key=len) if image["fingerprint"] and names else (names or [""])[0]
    return f"{shown} ({len(names) - 1} more)" if len(names) > 1 else shown


COLUMNS: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "l": ("ALIAS", _alias),
    "L": ("ALIASES", lambda image: "\n".join(alias["name"] for alias in image["aliases"])),
    "f": ("FINGERPRINT", lambda image: image["fingerprint"][:12]),
    "F": ("FINGERPRINT", lambda image: image["fingerprint"]),
    "p": ("PUBLIC", lambda image: "yes" if image["public"] else "no"),
    "d": ("DESCRIPTION", lambda image: image["properties"].get("description", "")),
    "a": ("ARCH", lambda image: image["architecture"]),
    "s": ("SIZE", lambda image: f"{image['size'] / 1024**2:.2f}MB" if image["size"] else ""),
    "u": ("UPLOAD DATE", lambda image: output.long_time(image["uploaded_at"])),
    "t": ("TYPE", lambda image: image.get("type", "container").upper()),
}
"""Letter -> (header, cell)."""


def matches(image: dict[str, Any], text: str) -> bool:
    """Whether an image passes one filter: `key=value`, or part of an alias or fingerprint."""
    key, equals, wanted = text.partition("=")
    if not equals:
        return text in image["fingerprint"] or any(text in alias["name"] for alias in image["aliases"])
    pattern = wanted if "^" in wanted or "$" in wanted else f"^{wanted}$"
    for name, value in image["properties"].items():
        given, parts = key.split("."), name.split(".")
        if len(given) == len(parts) and all(p.startswith(g) for g, p in zip(given, parts, strict=True)):
            try:
                if re.search(pattern, value):
                    return True
            except re.error:
                if wanted == value:
                    return True
    return False


def aliases(session: Session, values: Values, words: list[str]) -> None:
    """Print the aliases that match any filter."""
    remote, filters = _split(session, words)
    if remote.protocol == "bootstrap":
        found = [
            {"name": a["name"], "target": "", "description": o["properties"]["description"]}
            for o in offers()
            for a in o["aliases"]
        ]
    elif remote.protocol == "simplestreams":
        from wardian.client import simplestreams

        found = simplestreams.aliases(remote)
    else:
        found = session.at(remote).get("/1.0/images/aliases?recursion=1")
    rows = [
        [alias["name"], alias["target"][:12], alias["description"]]
        for alias in sorted(found, key=lambda alias: alias["name"])
        if not filters or any(text in alias["name"] or text in alias["target"] for text in filters)
    ]
    output.show(values.format, ("ALIAS", "FINGERPRINT", "DESCRIPTION"), rows, found)
