"""Images made by recipes: what the steps do, what is used again, and what is said when one fails."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.harness import Daemon

INSTALLER = """#!/bin/sh
[ "$1" = add ] || exit 3
shift 3
for name; do echo "$name $A" >> /installed; done
"""
RECIPE = """
base: bb
alias: [made, made/1]
properties: {description: made by a recipe, version: 2}
config: {user.made: "yes"}
steps:
- files:
    /bin/apk: {source: apk, mode: "0755"}
    /etc/motd: "hello\\n"
    /srv/www: {source: www, uid: 33, gid: 34}
- packages: [nginx, curl]
  environment: {A: here}
- run: |
    echo ran >> /ran
    test -s /installed
- run: [touch, /done]
"""


@pytest.fixture
def folder(daemon: Daemon, tmp_path: Path) -> Iterator[Path]:
    """A folder with the recipe `web.yaml`; nothing is left of its images and containers."""
    (tmp_path / "web.yaml").write_text(RECIPE)
    (tmp_path / "apk").write_text(INSTALLER)
    (tmp_path / "www/empty").mkdir(parents=True)
    (tmp_path / "www/index.html").write_text("<html>")
    (tmp_path / "www/link").symlink_to("index.html")
    yield tmp_path
    for name in ("build-web", "of-made"):
        if name in daemon.names():
            daemon.lxc("delete", "-f", name)
    for image in json.loads(daemon.lxc("image", "list", "description=made.*", "--format", "json")):
        daemon.lxc("image", "delete", image["fingerprint"])


def build(daemon: Daemon, folder: Path, *words: str) -> str:
    return daemon.lxc("image", "build", str(folder / "web.yaml"), *words)


def run(daemon: Daemon, *command: str) -> str:
    """Output of a command in a container of the newest image."""
    if "of-made" in daemon.names():
        daemon.lxc("delete", "-f", "of-made")
    daemon.lxc("launch", "made", "of-made")
    return daemon.lxc("exec", "of-made", "--", *command)


def test_the_steps_make_the_image(daemon: Daemon, folder: Path) -> None:
    (folder / "web.yaml").write_text(f"{RECIPE}public: true\nprofiles: [default]\n")
    said = build(daemon, folder, "local:", "--alias", "other")
    assert "Base: bb\n" in said and "Step 2/4: packages nginx curl\n" in said
    fingerprint = said.rsplit(": ", 1)[1].strip()
    image = json.loads(daemon.lxc("image", "list", "made", "--format", "json"))[0]
    assert image["fingerprint"] == fingerprint and image["public"]
    assert {alias["name"] for alias in image["aliases"]} == {"made", "made/1", "other"}
    assert image["properties"]["description"] == "made by a recipe" and image["properties"]["version"] == "2"
    seen = run(
        daemon, "sh", "-c", "cat /etc/motd /installed /ran; stat -c '%u %g %F %N' /srv/www/* /bin/apk /done"
    )
    assert seen.startswith("hello\nnginx here\ncurl here\nran\n")
    assert "33 34 directory" in seen and "33 34 symbolic link" in seen and "33 34 regular file" in seen
    assert "STOPPED" in daemon.lxc("list", "build-web", "-c", "s", "--format", "csv")


def test_what_has_not_changed_is_not_done_again(daemon: Daemon, folder: Path) -> None:
    first = build(daemon, folder)
    again = build(daemon, folder)
    assert "Nothing has changed" in again and again.splitlines()[-1] == first.splitlines()[-1]

    (folder / "web.yaml").write_text(RECIPE.replace("echo ran", "echo other"))
    said = build(daemon, folder)
    assert "Step 1/4: files /bin/apk /etc/motd /srv/www (as before)\n" in said
    assert "Step 2/4: packages nginx curl (as before)\n" in said
    assert "Step 3/4: run echo other >> /ran\n" in said and "Step 4/4: run touch /done\n" in said
    assert run(daemon, "cat", "/ran", "/installed") == "other\nnginx here\ncurl here\n"
    assert len(daemon.lxc("info", "build-web").partition("Snapshots:")[2].strip().splitlines()) == 5

    (folder / "www/index.html").write_text("<html>new")
    assert "(as before)" not in build(daemon, folder)
    assert run(daemon, "cat", "/srv/www/link") == "<html>new"
    assert "(as before)" not in build(daemon, folder, "--no-cache")


def test_a_step_that_fails_is_named_and_the_next_build_goes_on(daemon: Daemon, folder: Path) -> None:
    (folder / "web.yaml").write_text(RECIPE.replace("test -s /installed", "echo broken >&2; exit 7"))
    said = daemon.error("image", "build", str(folder / "web.yaml"))
    assert "broken" in said
    assert "step 3 (run echo ran >> /ran) ended with status 7; `lxc exec build-web -- sh` shows" in said
    assert daemon.lxc("exec", "build-web", "--", "cat", "/ran") == "ran\n"
    (folder / "web.yaml").write_text(RECIPE)
    assert "Step 2/4: packages nginx curl (as before)\n" in build(daemon, folder)
    assert run(daemon, "cat", "/ran") == "ran\n"


def test_wrong_recipes_change_nothing(daemon: Daemon, folder: Path) -> None:
    recipe = str(folder / "web.yaml")
    for text, said in (
        ("base: [", "the YAML is not valid"),
        ("base: bb\nsteps: [{fils: {}}]", 'step 1: unknown field "fils"'),
        ("base: nowhere", 'image "nowhere" not found'),
        ("base: bb\nsteps: [{files: {/a: {source: missing}}}]", "missing"),
    ):
        (folder / "web.yaml").write_text(text)
        assert said in daemon.error("image", "build", recipe)
    assert "cannot read" in daemon.error("image", "build", str(folder / "none.yaml"))
    assert "build-web" not in daemon.names()
    (folder / "web.yaml").write_text(RECIPE)
    daemon.lxc("init", "bb", "build-web")
    assert 'container "build-web" is in the way' in daemon.error("image", "build", recipe)
