"""The client itself: aliases, events, completion, formats."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.system.harness import CLIENT_WITH_SITE, PYTHON, Daemon


def test_aliases_of_config_yml(daemon: Daemon, container: str) -> None:
    folder = Path(daemon.environment["LXD_CONF"])
    folder.mkdir(exist_ok=True)
    (folder / "config.yml").write_text("aliases: {machines: list, say: exec @ARGS@ echo}\n")
    try:
        assert container in daemon.lxc("machines")
        assert daemon.lxc("say", container) == "\n"
        assert "unknown command" in daemon.error("machines", "--no-alias")
    finally:
        (folder / "config.yml").unlink()


def test_monitor_prints_what_happens(daemon: Daemon, name: str) -> None:
    argv = [PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, "monitor", "--type=lifecycle"]
    with subprocess.Popen(
        argv, env=daemon.environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as child:
        assert child.stdout is not None
        while not _listening(daemon, child):
            assert child.poll() is None
        daemon.lxc("profile", "unset", "default", "user.tick")
        daemon.lxc("launch", "bb", name)
        said = b""
        while b"container-started" not in said:
            said += child.stdout.readline()
        child.terminate()
    assert b"container-created" in said and f"/1.0/containers/{name}".encode() in said


def _listening(daemon: Daemon, child: "subprocess.Popen[bytes]") -> bool:
    """Make an event, and see whether the monitor told it."""
    import select

    daemon.lxc("profile", "set", "default", "user.tick", "1")
    return bool(child.stdout and select.select([child.stdout], [], [], 0.2)[0])


@pytest.mark.parametrize("form", ["json", "csv", "yaml", "compact", "table"])
def test_every_format_of_list_names_the_container(daemon: Daemon, container: str, form: str) -> None:
    said = daemon.lxc("list", container, "--format", form)
    assert container in said
    if form == "json":
        found = json.loads(said)[0]
        assert found["name"] == container and found["state"]["network"]["eth0"]["hwaddr"]


def test_completion_knows_names_and_flags(daemon: Daemon, container: str) -> None:
    assert container in daemon.lxc("completion", "words", "--", "stop", "t-").splitlines()
    assert daemon.lxc("completion", "words", "--", "laun") == "launch\n"
    assert "--force" in daemon.lxc("completion", "words", "--", "stop", "--f")
    script = daemon.lxc("completion", "bash")
    subprocess.run(["bash", "-n"], input=script.encode(), check=True)


def test_server_configuration_by_the_client(daemon: Daemon) -> None:
    daemon.lxc("config", "set", "images.remote_cache_expiry", "5")
    assert daemon.lxc("config", "get", "images.remote_cache_expiry") == "5\n"
    daemon.lxc("config", "unset", "images.remote_cache_expiry")
    assert "not currently set" in daemon.error("config", "unset", "images.remote_cache_expiry")
    assert "Bad server config key: 'nosuch'" in daemon.error("config", "set", "nosuch", "1")


def test_profiles_by_the_client(daemon: Daemon, container: str) -> None:
    assert daemon.lxc("profile", "create", "p1") == "Profile p1 created\n"
    daemon.lxc("profile", "set", "p1", "user.a", "b")
    daemon.lxc("profile", "copy", "p1", "p2")
    assert (
        daemon.lxc("profile", "apply", container, "default,p1")
        == f"Profiles default,p1 applied to {container}\n"
    )
    assert "user.a: b" in daemon.lxc("config", "show", container, "--expanded")
    assert "user.a" not in daemon.lxc("config", "show", container)
    assert "in use" in daemon.error("profile", "delete", "p1")
    daemon.lxc("profile", "apply", container, "default")
    assert daemon.lxc("profile", "delete", "p1") == "Profile p1 deleted\n"
    daemon.lxc("profile", "delete", "p2")


def test_what_is_mistyped_is_told_in_one_line(daemon: Daemon, container: str, tmp_path: Path) -> None:
    daemon.lxc("snapshot", container, "s0")
    for words, cause in (
        (["info", f"{container}/s0"], "is a snapshot"),
        (["move", f"{container}/s0", container], "a snapshot stays with its container"),
        (["image", "export", "bb", str(tmp_path / "nowhere/bb")], "No such file or directory"),
    ):
        said = daemon.error(*words)
        assert cause in said and said.count("\n") <= 1
    edited = daemon.run("config", "edit", container, stdin=b"bogus: 1\n")
    assert edited.returncode == 1 and b'unknown key "bogus"' in edited.stderr
    assert container in daemon.lxc("ls")
    daemon.lxc("rename", f"{container}/s0", "s1")
    daemon.lxc("rm", f"{container}/s1")


def test_no_profile_leaves_the_container_its_root_disk(daemon: Daemon, name: str) -> None:
    daemon.lxc("init", "bb", name, "-p", "-e")
    shown = daemon.lxc("config", "show", name)
    assert "profiles: []\n" in shown and "ephemeral: true\n" in shown
    daemon.lxc("profile", "apply", name, "default")
    daemon.lxc("config", "device", "remove", name, "root")
    assert daemon.lxc("profile", "apply", name, "") == f"Profiles (none) applied to {name}\n"
    assert "  root:\n    path: /\n    pool: default\n    type: disk\n" in daemon.lxc("config", "show", name)


def test_debug_tells_every_request_and_answer_but_no_secret(daemon: Daemon, name: str) -> None:
    said = daemon.run("--debug", "config", "set", "core.trust_password", "hidden-word").stderr.decode()
    daemon.lxc("config", "unset", "core.trust_password")
    assert "DEBUG PATCH unix:///1.0\n" in said and "DEBUG answer 200\n" in said and "hidden-word" not in said
    assert daemon.run("list", "--verbose").stderr.startswith(b"INFO GET unix:///1.0/containers")


def test_images_of_the_store_and_of_debian_are_described(daemon: Daemon, tmp_path: Path) -> None:
    assert "    release: trixie\n" in daemon.lxc("image", "info", "debian:stable")
    shown = daemon.lxc("image", "show", "bb")
    assert shown.startswith("auto_update: false\nproperties:\n  architecture: x86_64\n  description: ")
    daemon.lxc("image", "export", "bb", str(tmp_path / "bb.tar.xz"))
    daemon.lxc("image", "export", "bb", str(tmp_path / "other"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bb.tar.xz", "other.tar.xz"]
