"""Recipes: how an image is made out of another one (docs/images.md). Pure; for the client.

A recipe is a chain of steps. Each step has a key that depends on all before it, so that what was done
for an earlier build can be used again as far as the chains are the same.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wardian.errors import InvalidInput
from wardian.model import names

STEPS = 200
FORMAT = 1
"""Changes when steps begin to mean something else: nothing that was cached is used then."""
KINDS = ("packages", "files", "run")


@dataclass(frozen=True)
class File:
    """A file for the image: its text, or the path (file or folder) that it is copied from."""

    path: str
    text: str | None = None
    source: str = ""
    mode: int | None = None
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class Step:
    """One step; one of the three is set."""

    packages: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    run: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """One line for people."""
        if self.packages:
            return f"packages {' '.join(self.packages)}"
        if self.files:
            return f"files {' '.join(file.path for file in self.files)}"
        shown = self.run[2] if self.run[:2] == ("sh", "-ec") else " ".join(self.run)
        line = shown.strip().splitlines()[0] if shown.strip() else ""
        return f"run {line}"[:100]


@dataclass(frozen=True)
class Recipe:
    """What an image is made of. base: as `lxc launch` takes it."""

    name: str
    base: str
    aliases: tuple[str, ...]
    public: bool
    properties: Mapping[str, str]
    config: Mapping[str, str]
    profiles: tuple[str, ...] | None
    steps: tuple[Step, ...]

    @property
    def container(self) -> str:
        """Name of the container that it is built in."""
        return f"build-{self.name}"


def keys(recipe: Recipe, digest: Callable[[str], str]) -> list[str]:
    """The keys of the untouched base and of each step after it.

    digest: of the content of a `source`.
    """
    start = [FORMAT, recipe.base, sorted(recipe.config.items()), recipe.profiles]
    found = [_key("", start)]
    for step in recipe.steps:
        files = [[f.path, f.text, f.source and digest(f.source), f.mode, f.uid, f.gid] for f in step.files]
        content = [step.packages, files, step.run, sorted(step.environment.items())]
        found.append(_key(found[-1], content))
    return found


def _key(before: str, content: object) -> str:
    return hashlib.sha256(f"{before}{json.dumps(content)}".encode()).hexdigest()[:16]


# --- reading -----------------------------------------------------------------------------------


def parse(content: object, name: str) -> Recipe:
    """The recipe of a YAML document; InvalidInput naming the field. name: if it does not say one."""
    fields = _map(content, "the recipe")
    _known(
        fields,
        ("name", "base", "alias", "public", "properties", "config", "profiles", "steps"),
        "the recipe",
    )
    base = _text(fields.get("base"), "base")
    aliases = fields.get("alias", [])
    profiles = fields.get("profiles")
    steps = _list(fields.get("steps", []), "steps")
    if len(steps) > STEPS:
        raise InvalidInput(f"steps: {len(steps)} are too many; at most {STEPS}")
    recipe = Recipe(
        name=_text(fields.get("name", name), "name"),
        base=base,
        aliases=_texts([aliases] if isinstance(aliases, str) else aliases, "alias"),
        public=_bool(fields.get("public", False), "public"),
        properties=_text_map(fields.get("properties", {}), "properties"),
        config=_text_map(fields.get("config", {}), "config"),
        profiles=None if profiles is None else _texts(profiles, "profiles"),
        steps=tuple(_step(step, f"step {number}") for number, step in enumerate(steps, 1)),
    )
    try:
        names.check_container(recipe.container)
    except InvalidInput:
        raise InvalidInput(f"name: {recipe.name!r} may have letters, digits and dashes only") from None
    return recipe


def _step(content: object, where: str) -> Step:
    fields = _map(content, where)
    _known(fields, (*KINDS, "environment"), where)
    kinds = [kind for kind in KINDS if kind in fields]
    if len(kinds) != 1:
        raise InvalidInput(f"{where}: write one of {', '.join(KINDS)}")
    environment = _text_map(fields.get("environment", {}), f"{where}: environment")
    if "files" in fields and environment:
        raise InvalidInput(f"{where}: files have no environment")
    value = fields[kinds[0]]
    if kinds[0] == "packages":
        return Step(packages=_packages(value, f"{where}: packages"), environment=environment)
    if kinds[0] == "files":
        files = _map(value, f"{where}: files")
        return Step(files=tuple(_file(path, file, f"{where}: files") for path, file in files.items()))
    run = ("sh", "-ec", value) if isinstance(value, str) else _texts(value, f"{where}: run")
    if not run or not run[-1].strip():
        raise InvalidInput(f"{where}: run: there is no command")
    return Step(run=run, environment=environment)


def _packages(value: object, where: str) -> tuple[str, ...]:
    found = _texts(value, where)
    for name in found:
        if (
            not name
            or name[0] == "-"
            or not all(c.isascii() and (c.isalnum() or c in "+-._:=~/@") for c in name)
        ):
            raise InvalidInput(f"{where}: {name!r} is not the name of a package")
    if not found:
        raise InvalidInput(f"{where}: there is none")
    return found


def _file(path: object, content: object, where: str) -> File:
    text = _text(path, where)
    parts = text.split("/")
    if not text.startswith("/") or text.endswith("/") or ".." in parts or "\0" in text:
        raise InvalidInput(f'{where}: "{text}" is not an absolute path of a file')
    where = f"{where}: {text}"
    if isinstance(content, str):
        return File(path=text, text=content)
    fields = _map(content, where)
    _known(fields, ("text", "source", "mode", "uid", "gid"), where)
    if ("text" in fields) == ("source" in fields):
        raise InvalidInput(f"{where}: write either text or source")
    return File(
        path=text,
        text=_text(fields["text"], f"{where}: text", empty=True) if "text" in fields else None,
        source=_text(fields["source"], f"{where}: source") if "source" in fields else "",
        mode=_mode(fields.get("mode"), f"{where}: mode"),
        uid=_id(fields.get("uid", 0), f"{where}: uid"),
        gid=_id(fields.get("gid", 0), f"{where}: gid"),
    )


def _mode(value: object, where: str) -> int | None:
    if value is None:
        return None
    # YAML reads 0644 as an octal number, and "0644" as text.
    if isinstance(value, str) and value and set(value) <= set("01234567") and len(value) <= 5:
        value = int(value, 8)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 0o7777:
        raise InvalidInput(f'{where}: {value!r} is not a mode such as "0644"')
    return value


def _id(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**32 - 1:
        raise InvalidInput(f"{where}: {value!r} is not the number of a user or group")
    return value


def _map(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) and key.isprintable() for key in value):
        raise InvalidInput(f"{where}: must be a map of fields")
    return value


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidInput(f"{where}: must be a list")
    return value


def _texts(value: object, where: str) -> tuple[str, ...]:
    return tuple(_text(item, where) for item in _list(value, where))


def _text_map(value: object, where: str) -> dict[str, str]:
    return {key: _text(item, f"{where}: {key}", empty=True) for key, item in _map(value, where).items()}


def _text(value: object, where: str, *, empty: bool = False) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(value, str) or not (value or empty):
        raise InvalidInput(f"{where}: must be a text")
    return value


def _bool(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(f"{where}: must be true or false")
    return value


def _known(fields: Mapping[str, object], known: tuple[str, ...], where: str) -> None:
    for key in fields:
        if key not in known:
            raise InvalidInput(f'{where}: unknown field "{key}" (known: {", ".join(known)})')
