"""Folders that make an image server of any web server."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import streams
from tests.system.harness import PYTHON
from tests.system.imagesite import Site, image


def serve(site: Site, folder: Path) -> None:
    """Let the web server have what is in the folder."""
    site.server.content = {
        f"/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def build(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [PYTHON, "-m", "wardian.daemon.main", "image-server", "build", *words]
    environment = site.daemon.environment
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


def test_a_folder_is_built_that_serves_the_images_of_the_store(site: Site, tmp_path: Path) -> None:
    daemon, target = site.daemon, tmp_path / "served"
    split = site.offer()
    daemon.lxc("image", "copy", "t:trusty", "local:", "--alias", "mine", "--alias", "a,b", "--public")
    daemon.lxc("image", "copy", "t:trusty/i386", "local:", "--alias", "secret")
    unified = daemon.import_busybox("unified")
    said = build(site, str(target), "mine", "unified")
    assert said.returncode == 0, said.stderr
    assert '2 images in "' in said.stdout and 'alias "a,b"' in said.stdout
    assert len(list((target / "images").iterdir())) == 2
    site.forget()
    serve(site, target)
    assert {
        line.split(",")[1] for line in daemon.lxc("image", "list", "t:", "--format", "csv").splitlines()
    } == {
        split[:12],
        unified[:12],
    }
    daemon.lxc("launch", "t:mine", "c1")
    daemon.lxc("launch", "t:unified/amd64", "c2")
    assert daemon.lxc("exec", "c1", "hostname") + daemon.lxc("exec", "c2", "hostname") == "c1\nc2\n"
    assert f"Fingerprint: {split}" in image(daemon, split)


def test_a_folder_is_updated_and_private_images_stay_private(site: Site, tmp_path: Path) -> None:
    daemon, target = site.daemon, tmp_path / "served"
    site.offer()
    daemon.lxc("image", "copy", "t:trusty/i386", "local:", "--alias", "secret")
    assert "there is no public image" in build(site, str(target)).stderr
    assert not target.exists()
    daemon.lxc("image", "copy", "t:trusty", "local:", "--alias", "mine", "--public")
    assert '1 images in "' in build(site, str(target)).stdout
    (first,) = (target / "images").iterdir()
    inode = next(first.iterdir()).stat().st_ino
    assert '2 images in "' in build(site, str(target), "--all").stdout
    assert next(first.iterdir()).stat().st_ino == inode
    assert '1 images in "' in build(site, str(target), "secret", "--prune").stdout
    assert not first.exists()
    assert 'image "nosuch" not found' in build(site, str(target), "nosuch").stderr
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").touch()
    assert "holds other things" in build(site, str(tmp_path / "other"), "mine").stderr
    (tmp_path / "open").mkdir(mode=0o700)
    (tmp_path / "open").chmod(0o777)
    assert "can be changed by others" in build(site, str(tmp_path / "open"), "mine").stderr


CLIENTS = {"/usr/bin/lxc": "LXD_CONF", "/usr/bin/incus": "INCUS_CONF"}
"""Clients of other systems, where they are installed -> the variable that names their folder."""


@pytest.mark.parametrize("program", CLIENTS)
def test_clients_of_other_systems_take_images_from_the_folder(
    site: Site, tmp_path: Path, program: str
) -> None:
    if not Path(program).exists():
        pytest.skip(f"{program} is not installed")
    daemon = site.daemon
    fingerprints = {"split": site.offer()}
    daemon.lxc("image", "copy", "t:trusty", "local:", "--alias", "split")
    whole = f"whole-{Path(program).name}"
    fingerprints[whole] = daemon.import_busybox(whole)
    assert build(site, str(tmp_path / "served"), "--all").returncode == 0
    site.forget()
    serve(site, tmp_path / "served")
    folder = tmp_path / "client"
    folder.mkdir()
    shutil.copy(daemon.folder / "client/config.yml", folder)
    environment = daemon.environment | {CLIENTS[program]: str(folder)}

    def run(*words: str) -> str:
        completed = subprocess.run(
            [program, *words], env=environment, capture_output=True, text=True, check=False
        )
        assert completed.returncode == 0, completed.stderr
        return completed.stdout

    listed = json.loads(run("image", "list", "t:", "--format", "json"))
    assert {entry["fingerprint"] for entry in listed} == set(fingerprints.values())
    for name, fingerprint in fingerprints.items():
        target = tmp_path / name
        target.mkdir()
        run("image", "export", f"t:{name}", str(target))
        files = sorted(target.iterdir(), key=lambda path: not path.name.startswith("meta"))
        assert streams.sha256(*[path.read_bytes() for path in files]) == fingerprint
