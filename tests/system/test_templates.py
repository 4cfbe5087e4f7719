"""Templates of images in real containers: when they are rendered, cloud-init's seeds, and no way out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.system import busybox
from tests.system.harness import Daemon

SEED = "/var/lib/cloud/seed/nocloud-net"
DEFAULT = "#cloud-config\n{}\n"
TEMPLATES: dict[str, tuple[list[str], str, dict[str, Any]]] = {
    f"{SEED}/meta-data": (
        ["create", "copy"],
        "#cloud-config\ninstance-id: {{ container.name }}\nlocal-hostname: {{ container.name }}\n"
        '{{ config_get("user.meta-data", "") }}\n',
        {},
    ),
    f"{SEED}/user-data": (
        ["create", "copy"],
        '{{ config_get("user.user-data", properties.default) }}\n',
        {"properties": {"default": DEFAULT}},
    ),
    f"{SEED}/vendor-data": (
        ["create", "copy"],
        '{{ config_get("user.vendor-data", properties.default) }}\n',
        {"properties": {"default": DEFAULT}},
    ),
    f"{SEED}/network-config": (
        ["create", "copy"],
        '{% if config_get("user.network-config", "") == "" %}version: 1\n'
        '{% else %}{{ config_get("user.network-config", "") }}\n{% endif %}',
        {},
    ),
    "/when/created": (["create"], "{{ trigger }} {{ path }}\n", {}),
    "/when/copied": (["copy"], "{{ trigger }} {{ container.name }}\n", {}),
    "/when/started": (["start"], 'user.n={{ config_get("user.n", "none")|upper }}\n', {}),
    "/when/once": (["start"], "{{ container.name }}\n", {"create_only": True}),
    "/when/devices": (
        ["start"],
        "{% for name, d in devices.items() %}{{ name }}:{{ d.type }} {% endfor %}",
        {},
    ),
}


@pytest.fixture(scope="module")
def seeded(daemon: Daemon) -> Iterator[str]:
    """An image with such templates."""
    tree = daemon.folder / "tree-seeded"
    busybox.make_tree(tree, "seeded")
    metadata = yaml.safe_load((tree / "metadata.yaml").read_text())
    metadata["templates"] = {}
    for number, (target, (when, text, more)) in enumerate(TEMPLATES.items()):
        metadata["templates"][target] = {"when": when, "template": f"{number}.tpl", **more}
        (tree / f"templates/{number}.tpl").write_text(text)
    (tree / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    image = busybox.unified(tree, daemon.folder / "seeded.tar.gz", "-z")
    daemon.lxc("image", "import", str(image), "--alias", "seeded")
    yield "seeded"
    daemon.lxc("image", "delete", "seeded")


def read(daemon: Daemon, container: str, path: str) -> str:
    return daemon.lxc("exec", container, "cat", path)


def test_cloud_inits_seeds_come_from_the_keys(daemon: Daemon, seeded: str, name: str) -> None:
    daemon.lxc("init", seeded, name)
    daemon.lxc("config", "set", name, "user.user-data", "-", stdin="#cloud-config\npackages: [htop]\n")
    daemon.lxc("config", "set", name, "user.meta-data", "more: yes")
    daemon.lxc("config", "set", name, "user.network-config", "version: 2")
    daemon.lxc("start", name)
    about = f"#cloud-config\ninstance-id: {name}\nlocal-hostname: {name}\nmore: yes\n"
    assert read(daemon, name, f"{SEED}/meta-data") == about
    assert read(daemon, name, f"{SEED}/user-data") == "#cloud-config\npackages: [htop]\n"
    assert read(daemon, name, f"{SEED}/vendor-data") == DEFAULT
    assert read(daemon, name, f"{SEED}/network-config") == "version: 2\n"
    assert (
        daemon.lxc("exec", name, "--", "stat", "-c", "%u %a", SEED, f"{SEED}/user-data") == "0 755\n0 644\n"
    )


def test_each_is_rendered_when_it_is_due(daemon: Daemon, seeded: str, name: str) -> None:
    daemon.lxc("launch", seeded, name)
    assert read(daemon, name, "/when/created") == "create /when/created\n"
    assert read(daemon, name, "/when/started") == "user.n=NONE\n"
    assert sorted(read(daemon, name, "/when/devices").split()) == ["eth0:nic", "root:disk"]
    assert daemon.run("exec", name, "ls", "/when/copied").returncode != 0
    daemon.lxc("exec", name, "--", "sh", "-c", "rm /when/created; echo mine > /when/once")
    daemon.lxc("config", "set", name, "user.n", "one")
    daemon.lxc("restart", "-f", name)
    assert daemon.run("exec", name, "ls", "/when/created").returncode != 0
    assert read(daemon, name, "/when/started") == "user.n=ONE\n"
    assert read(daemon, name, "/when/once") == "mine\n"
    copy = f"{name[:40]}-copy"
    daemon.lxc("copy", name, copy)
    try:
        daemon.lxc("start", copy)
        assert read(daemon, copy, "/when/copied") == f"copy {copy}\n"
        assert f"instance-id: {copy}\n" in read(daemon, copy, f"{SEED}/meta-data")
    finally:
        daemon.lxc("delete", "-f", copy)


@pytest.mark.parametrize("privileged", ["false", "true"])
def test_links_that_a_container_leaves_lead_nowhere(
    daemon: Daemon, seeded: str, name: str, privileged: str, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("of the host")
    daemon.lxc("launch", seeded, name, "-c", f"security.privileged={privileged}")
    script = f"rm /when/started; ln -s {outside} /when/started; mkdir -p {tmp_path}"
    daemon.lxc("exec", name, "--", "sh", "-c", script)
    daemon.lxc("restart", "-f", name)
    assert outside.read_text() == "of the host"
    assert read(daemon, name, str(outside)) == "user.n=NONE\n"
    daemon.lxc("exec", name, "--", "sh", "-c", "rm /when/started; mkfifo /when/started")
    daemon.lxc("stop", "-f", name)
    assert '"/when/started" is not a file' in daemon.error("start", name)
