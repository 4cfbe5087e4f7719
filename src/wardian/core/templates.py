"""Templates of a container's image, rendered into it before it starts (spec/configuration.md 13.3)."""

from typing import Any

from wardian.core.containers import Expanded, volume
from wardian.core.host import Host
from wardian.errors import InvalidInput
from wardian.linux import files
from wardian.model import image as image_model
from wardian.model import keys
from wardian.model.container import Container
from wardian.model.units import is_true
from wardian.ports.rootfs import TemplateJob

METADATA_BYTES = 1024 * 1024


async def apply(host: Host, container: Container, merged: Expanded) -> None:
    """Render what is due: the trigger noted in volatile.apply_template first, then `start`."""
    folder = host.storage.get(container.pool).path(volume(container.name))
    try:
        text = files.read_inside(folder, "metadata.yaml", limit=METADATA_BYTES)
    except ValueError as error:
        raise InvalidInput(f'container "{container.name}": {error}') from error
    if not text:
        return
    templates = image_model.parse_metadata(text).templates
    pending = container.config.get("volatile.apply_template", "")
    for trigger in (pending, "start") if pending else ("start",):
        jobs = [
            TemplateJob(
                source=template.template,
                target=target,
                create_only=template.create_only,
                context=_context(container, merged, trigger, target, template.properties),
            )
            for target, template in sorted(templates.items())
            if trigger in template.when
        ]
        if jobs:
            await host.storage.get(container.pool).mount(volume(container.name))
            await host.rootfs.apply_templates(folder, jobs)


def _context(
    container: Container, merged: Expanded, trigger: str, target: str, properties: dict[str, str]
) -> dict[str, Any]:
    privileged = is_true(merged.config.get("security.privileged", ""))
    about = {
        "name": container.name,
        "architecture": container.architecture,
        "privileged": "true" if privileged else "false",
        "ephemeral": "true" if container.ephemeral else "false",
    }
    return {
        "trigger": trigger,
        "path": target,
        "container": about,
        "instance": about,
        "config": keys.seen_inside(merged.config),
        "devices": merged.devices,
        "properties": properties,
    }
