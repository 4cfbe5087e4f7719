"""What an image is: its formats, its metadata.yaml, its names (spec/configuration.md section 13). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import yaml

from wardian.errors import InvalidInput
from wardian.model import architectures

METADATA_BYTES = 1024 * 1024
DEPTH = 16
NODES = 20_000
TRIGGERS = ("create", "copy", "start")

MAGICS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"BZh", "bz2"),
    (0, b"\x1f\x8b", "gz"),
    (0, b"\xfd7zXZ", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zst"),
    (0, b"\x5d\x00\x00", "lzma"),
    (0, b"hsqs", "squashfs"),
    (257, b"ustar", "tar"),
)
MAGIC_BYTES = 262


def kind_of(head: bytes) -> str:
    """The format from a file's first MAGIC_BYTES (bz2 gz xz zst lzma squashfs tar), or InvalidInput."""
    for offset, magic, kind in MAGICS:
        if head[offset : offset + len(magic)] == magic:
            return kind
    raise InvalidInput("Unsupported image format: neither a tarball (plain, gz, bz2, xz, zst) nor squashfs")


def extension(kind: str) -> str:
    """The file name extension for a format."""
    return kind if kind in ("squashfs", "tar") else f"tar.{kind}"


@dataclass(frozen=True)
class Template:
    """A file that is rendered into containers."""

    template: str
    when: tuple[str, ...]
    create_only: bool = False
    properties: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Metadata:
    """The content of metadata.yaml."""

    architecture: str
    created_at: datetime
    expires_at: datetime | None
    properties: dict[str, str]
    templates: dict[str, Template]


class _Loader(yaml.CSafeLoader):
    """Safe, and bounded: no aliases (they multiply), limited depth and size."""


def bounded_yaml(text: bytes, name: str = "metadata.yaml") -> Any:
    """The one document of a YAML file of this name; InvalidInput if it is none, huge, or has aliases."""
    try:
        return _bounded(text, name)
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidInput(f"{name} is not valid YAML: {' '.join(str(error).split())}") from error


def _bounded(text: bytes, name: str) -> Any:
    if len(text) > METADATA_BYTES:
        raise InvalidInput(f"{name} is larger than 1 MiB")
    depth = 0
    for nodes, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if isinstance(event, yaml.AliasEvent):
            raise InvalidInput(f"{name}: aliases are not allowed")
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1
        if depth > DEPTH or nodes > NODES:
            raise InvalidInput(f"{name} is nested too deeply or has too many entries")
    return yaml.load(text, Loader=_Loader)


def parse_metadata(text: bytes) -> Metadata:
    """The metadata, or InvalidInput naming what is wrong with it."""
    found = bounded_yaml(text)
    if not isinstance(found, dict):
        raise InvalidInput("metadata.yaml is not a map")
    architecture = found.get("architecture")
    if not isinstance(architecture, str):
        raise InvalidInput('metadata.yaml: "architecture" is missing')
    created = _time(found, "creation_date")
    if created is None:
        raise InvalidInput("Missing creation date.")
    return Metadata(
        architecture=architectures.canonical(architecture),
        created_at=created,
        expires_at=_time(found, "expiry_date"),
        properties=_texts(found, "properties"),
        templates=_templates(found.get("templates")),
    )


def _time(found: Mapping[str, Any], key: str) -> datetime | None:
    value = found.get(key)
    if value in (None, 0):
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 36:
        raise InvalidInput(f'metadata.yaml: "{key}" is not a UNIX time')
    return datetime.fromtimestamp(value, UTC)


def _texts(found: Mapping[str, Any], key: str) -> dict[str, str]:
    value = found.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(k, str) for k in value):
        raise InvalidInput(f'metadata.yaml: "{key}" is not a map of texts')
    if any(isinstance(v, (dict, list)) for v in value.values()):
        raise InvalidInput(f'metadata.yaml: "{key}" is not a map of texts')
    return {k: "" if v is None else str(v) for k, v in value.items()}


def _templates(found: Any) -> dict[str, Template]:
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidInput('metadata.yaml: "templates" is not a map')
    templates = {}
    for target, entry in found.items():
        if not isinstance(target, str) or not target.startswith("/") or not isinstance(entry, dict):
            raise InvalidInput(f'metadata.yaml: template "{target}" is not an absolute path with properties')
        name, when = entry.get("template"), entry.get("when")
        if not isinstance(name, str) or not is_template_name(name):
            raise InvalidInput(f'metadata.yaml: template "{target}": "template" is not a plain file name')
        if not isinstance(when, list) or not all(isinstance(trigger, str) for trigger in when):
            raise InvalidInput(f'metadata.yaml: template "{target}": "when" is not a list')
        templates[target] = Template(
            template=name,
            when=tuple(trigger for trigger in when if trigger in TRIGGERS),
            create_only=entry.get("create_only") is True,
            properties=_texts(entry, "properties"),
        )
    return templates


def is_template_name(name: str) -> bool:
    """Whether it is a plain file name."""
    return 0 < len(name) < 128 and name.isprintable() and "/" not in name and not name.startswith(".")


def yaml_of(content: Mapping[str, Any]) -> bytes:
    """The text of a metadata.yaml with this content."""
    text: str = yaml.safe_dump(dict(content), sort_keys=True, allow_unicode=True)
    return text.encode()


def with_properties(text: bytes, properties: Mapping[str, str]) -> bytes:
    """A metadata.yaml that was parsed before, with other properties."""
    return yaml_of({**bounded_yaml(text), "properties": dict(properties)})


def metadata_text(
    *, architecture: str, created: int, properties: Mapping[str, str], templates: Mapping[str, Any]
) -> str:
    """The text of a metadata.yaml."""
    content = {
        "architecture": architecture,
        "creation_date": created,
        "properties": dict(properties),
        "templates": dict(templates),
    }
    text: str = yaml.safe_dump(content, sort_keys=True)
    return text
