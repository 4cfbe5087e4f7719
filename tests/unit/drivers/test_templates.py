"""Templates: what real images use is rendered, nothing outside is read or written, work is bounded."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from wardian.drivers.rootfs import render, templates
from wardian.errors import InvalidInput
from wardian.ports.rootfs import TemplateJob

CONFIG = {"user.user-data": "#cloud-config\npackages: [htop]\n", "user.empty": "", "user.a": "1"}


def job(
    target: str = "/etc/x", source: str = "x.tpl", *, create_only: bool = False, **more: Any
) -> TemplateJob:
    about = {"name": "c1", "architecture": "x86_64", "privileged": "false", "ephemeral": "false"}
    context = {
        "trigger": "create",
        "path": target,
        "container": about,
        "instance": about,
        "config": CONFIG,
        "devices": {"eth0": {"type": "nic"}},
        "properties": {"default": "#cloud-config\n{}\n"},
        **more,
    }
    return TemplateJob(source=source, target=target, create_only=create_only, context=context)


PLAIN = [
    ("{{ container.name }}\n", "c1\n"),
    ('instance-id: {{ container.name }}\n{{ config_get("user.meta-data", "") }}\n', "instance-id: c1\n\n"),
    ('{{ config_get("user.user-data", properties.default) }}', "#cloud-config\npackages: [htop]"),
    ('{{ config_get("user.vendor-data", properties.default) }}', "#cloud-config\n{}"),
    ('{{ config_get("user.none", properties.none) }}', ""),
    ('{% if config_get("user.network-config", "") == "" %}version: 1{% else %}x{% endif %}', "version: 1"),
    (
        '{% if config_get("user.a", "") == "1" and not config_get("user.x") %}y{% elif path %}z{% endif %}',
        "y",
    ),
    ("{% if trigger != 'create' %}a{% else %}{{ instance.name|upper }}{% endif %}{# remark #}", "C1"),
    ('{% if config_get("user.a") == "1" && container.name != "x" %}y{% endif %}', "y"),
    ("{% if container.nothing.deep || path %}y{% endif %}", "y"),
    ("no tags <&> 'at all'", "no tags <&> 'at all'"),
]
OTHERS = [
    ('{{ config_get("user.none", "")|default:"d" }}', "d"),
    ("{% for name, device in devices.items() %}{{ name }}={{ device.type }};{% endfor %}", "eth0=nic;"),
    ('{{ config["user.a"] }}', "1"),
]


@pytest.mark.parametrize(("text", "expected"), PLAIN)
async def test_what_images_use_is_rendered_in_the_daemon(text: str, expected: str) -> None:
    assert render.is_plain(render.as_jinja(text), job().context)
    assert await render.render(text, job()) == expected


@pytest.mark.parametrize(("text", "expected"), OTHERS)
async def test_other_things_are_rendered_apart(text: str, expected: str) -> None:
    assert not render.is_plain(render.as_jinja(text), job().context)
    assert await render.render(text, job()) == expected


@pytest.mark.parametrize(
    "text",
    [
        '{{ "x" * 20000000000 }}',
        "{% set x = 'xxxxxxxxxx' %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}",
        "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}",
        "{{ config_get('user.big') }}" * 40 + "{{ 1 }}",
        '{% include "/etc/passwd" %}',
        '{% extends "/etc/passwd" %}',
        '{% import "/etc/passwd" as x %}',
        '{% ssi "/etc/passwd" %}',
        "{{ container.__class__.__mro__() }}",
        "{{ config_get.__globals__.os }}x{{ nothing() }}",
        "{% if %}",
    ],
)
async def test_too_much_and_nonsense_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r'template "x\.tpl" for /etc/x cannot be rendered: '):
        await render.render(text, job(config={"user.big": "x" * 1_000_000}))


async def test_many_large_values_are_no_plain_template() -> None:
    big = job(config={"user.big": "x" * 1_000_000})
    assert render.is_plain("{{ config_get('user.big') }}", big.context)
    assert not render.is_plain("{{ config_get('user.big') }}" * 40, big.context)


# --- files -------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A volume beside a file that must neither be read nor written."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "volume/templates").mkdir(parents=True)
    (tmp_path / "volume/rootfs/etc").mkdir(parents=True)
    (tmp_path / "volume/templates/x.tpl").write_text("text")
    return tmp_path / "volume"


def test_a_template_is_read_only_from_its_folder(folder: Path) -> None:
    assert templates.read(folder, job()) == "text"
    (folder / "templates/link.tpl").symlink_to("../../secret")
    (folder / "templates/folder").symlink_to("../..")
    os.mkfifo(folder / "templates/fifo.tpl")
    for source in ("link.tpl", "folder/secret", "../../secret", "/etc/passwd", "fifo.tpl", "none.tpl"):
        with pytest.raises(InvalidInput):
            templates.read(folder, job(source=source))


def test_create_only_leaves_what_is_there(folder: Path) -> None:
    (folder / "rootfs/etc/x").write_text("mine")
    assert templates.read(folder, job(create_only=True)) is None
    assert templates.read(folder, job("/etc/y", create_only=True)) == "text"


def test_what_is_missing_is_made_and_what_is_there_keeps_its_mode(folder: Path) -> None:
    previous = os.umask(0o077)
    try:
        templates.write(folder, "/var/lib/cloud/seed/user-data", "a")
    finally:
        os.umask(previous)
    made = folder / "rootfs/var/lib/cloud/seed/user-data"
    assert [stat.S_IMODE(p.stat().st_mode) for p in (made, made.parent, made.parents[3])] == [
        0o644,
        0o755,
        0o755,
    ]
    made.chmod(0o600)
    templates.write(folder, "/var/lib/cloud/seed/user-data", "longer")
    templates.write(folder, "/var/lib/cloud/seed/user-data", "b")
    assert (made.read_text(), stat.S_IMODE(made.stat().st_mode)) == ("b", 0o600)


@pytest.mark.parametrize("step", ["etc", "etc/x", "etc/deep/x"])
@pytest.mark.parametrize("aim", ["{outside}", "../../../../../../../{outside}", "../../secret", "../.."])
def test_links_lead_nowhere_but_inside(folder: Path, step: str, aim: str) -> None:
    link = folder / "rootfs" / step
    if step == "etc":
        link.rmdir()
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(aim.format(outside=folder.parent / "secret"))
    before = sorted(os.listdir(folder.parent)), sorted(os.listdir(folder))
    for target in ("/etc/x", "/etc/x/y", "/etc/deep/x", "/etc/../../../secret"):
        try:
            templates.write(folder, target, "evil")
        except Exception as error:
            assert type(error).__name__ in ("HostFailed", "InvalidInput")
    assert (folder.parent / "secret").read_text() == "secret"
    assert before == (sorted(os.listdir(folder.parent)), sorted(os.listdir(folder)))


def test_what_is_no_file_is_never_opened(folder: Path) -> None:
    os.mkfifo(folder / "rootfs/etc/x")
    with pytest.raises(InvalidInput, match='"/etc/x" is not a file'):
        templates.write(folder, "/etc/x", "text")
