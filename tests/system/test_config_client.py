"""`lxc config` and `lxc profile`: devices, profiles of a container, where values come from, editing."""

import concurrent.futures
import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.system.harness import CLIENT_WITH_SITE, PYTHON, Daemon


@pytest.fixture
def stopped(daemon: Daemon, name: str) -> str:
    """A container that does not run."""
    daemon.lxc("init", "bb", name)
    return name


@pytest.fixture
def profile(daemon: Daemon) -> Iterator[str]:
    """An empty profile, which no container has after the test."""
    daemon.lxc("profile", "create", "pc")
    yield "pc"
    for container in daemon.names():
        if "pc" in daemon.lxc("list", f"^{container}$", "-c", "P", "--format", "csv"):
            daemon.lxc("delete", "-f", container)
    daemon.lxc("profile", "delete", "pc")


def test_devices_of_a_container(daemon: Daemon, stopped: str) -> None:
    def device(verb: str, *words: str) -> str:
        return daemon.lxc("config", "device", verb, stopped, *words)

    assert device("list") == ""
    said = device("add", "share", "disk", "source=/srv", "path=/mnt", "readonly=true")
    assert said == f"Device share added to {stopped}\n"
    again = daemon.error("config", "device", "add", stopped, "share", "none")
    assert again == "error: The device already exists"
    assert device("get", "share", "path") == "/mnt\n"
    assert device("get", "share", "optional") == "\n"
    device("set", "share", "path", "/media")
    device("set", "share", "source=/var", "readonly=false")
    device("unset", "share", "readonly")
    shown = {"share": {"path": "/media", "source": "/var", "type": "disk"}}
    assert yaml.safe_load(device("show")) == shown
    assert device("list") == "share\n"
    device("add", "hidden", "none")
    missing = daemon.error("config", "device", "remove", stopped, "share", "nosuch")
    assert missing == "error: The device doesn't exist"
    assert device("list") == "hidden\nshare\n"
    assert device("remove", "share", "hidden") == f"Device share, hidden removed from {stopped}\n"
    wrong = daemon.error("config", "device", "add", stopped, "d", "disk", "source")
    assert wrong == 'error: No value found in "source"'


def test_a_device_of_a_profile_becomes_the_containers_own(daemon: Daemon, stopped: str) -> None:
    container = stopped
    hint = daemon.error("config", "device", "set", container, "eth0", "mtu", "1400")
    assert hint.startswith("error: The device doesn't exist") and "device override" in hint
    said = daemon.lxc("config", "device", "override", container, "eth0", "mtu=1400")
    assert said == f"Device eth0 overridden for {container}\n"
    daemon.lxc("start", container)
    assert daemon.lxc("exec", container, "--", "cat", "/sys/class/net/eth0/mtu") == "1400\n"


def test_devices_of_a_profile(daemon: Daemon, profile: str) -> None:
    said = daemon.lxc("profile", "device", "add", profile, "share", "disk", "source=/srv", "path=/mnt")
    assert said == f"Device share added to {profile}\n"
    daemon.lxc("profile", "device", "set", profile, "share", "readonly", "true")
    assert daemon.lxc("profile", "device", "get", profile, "share", "readonly") == "true\n"
    assert daemon.lxc("profile", "device", "list", profile) == "share\n"
    assert yaml.safe_load(daemon.lxc("profile", "device", "show", profile))["share"]["source"] == "/srv"
    said = daemon.lxc("profile", "device", "remove", profile, "share")
    assert said == f"Device share removed from {profile}\n"


def test_profiles_are_added_removed_assigned_and_renamed(daemon: Daemon, stopped: str, profile: str) -> None:
    def profiles() -> list[str]:
        found: list[str] = yaml.safe_load(daemon.lxc("config", "show", stopped))["profiles"]
        return found

    assert daemon.lxc("profile", "add", stopped, profile) == f"Profile {profile} added to {stopped}\n"
    assert profiles() == ["default", profile]
    daemon.error("profile", "add", stopped, profile)
    assert daemon.lxc("profile", "rename", profile, "renamed") == f"Profile {profile} renamed to renamed\n"
    assert profiles() == ["default", "renamed"]
    daemon.lxc("profile", "rename", "renamed", profile)
    said = daemon.lxc("profile", "remove", stopped, profile)
    assert said == f"Profile {profile} removed from {stopped}\n"
    daemon.error("profile", "remove", stopped, profile)
    daemon.lxc("profile", "assign", stopped, f"{profile},default")
    assert profiles() == [profile, "default"]


def test_sources_tell_where_each_key_and_device_comes_from(
    daemon: Daemon, stopped: str, profile: str
) -> None:
    daemon.lxc("profile", "set", profile, "user.a=1", "user.b=1", "limits.memory=1GB")
    daemon.lxc("profile", "add", stopped, profile)
    daemon.lxc("config", "set", stopped, "user.b=2", "user.c=2")
    shown = yaml.safe_load(daemon.lxc("config", "show", stopped, "--expanded", "--sources"))
    assert shown["config"]["user.b"] == "2"
    sources = shown["sources"]["config"]
    assert (sources["user.a"], sources["user.b"], sources["user.c"]) == (
        f"profile {profile}",
        "container",
        "container",
    )
    assert sources.keys() == shown["config"].keys()
    assert shown["sources"]["devices"]["eth0"] == "profile default"


def test_server_keys_may_have_an_equals_sign_in_their_value(daemon: Daemon) -> None:
    daemon.lxc("config", "set", "core.https_allowed_origin", "https://a/?b=c")
    assert daemon.lxc("config", "get", "core.https_allowed_origin") == "https://a/?b=c\n"
    daemon.lxc("config", "unset", "core.https_allowed_origin")
    daemon.lxc("config", "set", "images.remote_cache_expiry=5", "images.auto_update_interval=7")
    assert daemon.lxc("config", "get", "images.auto_update_interval") == "7\n"
    daemon.lxc("config", "unset", "images.remote_cache_expiry")
    daemon.lxc("config", "unset", "images.auto_update_interval")


def test_values_need_no_quotes_in_yaml(daemon: Daemon, stopped: str, profile: str) -> None:
    devices = "devices: {nil: {type: unix-char, path: /dev/null, mode: 0600}}"
    keys = f"config: {{limits.cpu: 2, security.nesting: true}}\n{devices}"
    daemon.lxc("profile", "edit", profile, stdin=keys)
    shown = yaml.safe_load(daemon.lxc("profile", "show", profile))
    assert shown["config"] == {"limits.cpu": "2", "security.nesting": "true"}
    assert shown["devices"]["nil"]["mode"] == "0600"
    before = daemon.lxc("config", "show", stopped)
    daemon.lxc("config", "edit", stopped, stdin=f"{before}stateful: false\nstatus: Stopped\n")
    assert daemon.lxc("config", "show", stopped) == before
    for kind, name in (("profile", profile), ("config", stopped)):
        assert 'unknown key "confg"' in daemon.error(kind, "edit", name, stdin="confg: {}")
    assert yaml.safe_load(daemon.lxc("profile", "show", profile)) == shown


def test_a_password_stays_when_the_server_is_edited(daemon: Daemon) -> None:
    daemon.lxc("config", "set", "core.trust_password", "secret")
    shown = daemon.lxc("config", "show")
    daemon.lxc("config", "edit", stdin=f"{shown}  images.auto_update_interval: 7\n")
    assert daemon.lxc("config", "show") == f'{shown}  images.auto_update_interval: "7"\n'
    daemon.lxc("config", "edit", stdin="config: {}")
    assert daemon.lxc("config", "get", "core.trust_password") == "\n"


def _edit(daemon: Daemon, editor: str, *words: str) -> tuple[int, str]:
    """Run an editing command on a terminal, pressing enter whenever it waits; (status, what was shown)."""
    ours, theirs = pty.openpty()
    argv = [PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, *words]
    environment = daemon.environment | {"EDITOR": editor, "VISUAL": ""}
    with subprocess.Popen(argv, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as child:
        os.close(theirs)
        os.write(ours, b"\n\n\n")
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # EIO: the other end is closed
                break
            shown += piece
    os.close(ours)
    return child.returncode, shown.decode()


@pytest.mark.parametrize("kind", ["config", "profile"])
def test_the_editor_opens_again_with_the_error(
    daemon: Daemon, stopped: str, profile: str, kind: str, tmp_path: Path
) -> None:
    """The first round makes a mistake, the second one sees the error in the text and mends it."""
    script = tmp_path / "edit"
    script.write_text(
        "#!/bin/sh\n"
        f'cp "$1" {tmp_path}/round.$(ls {tmp_path} | wc -l)\n'
        'if grep -q "### Error" "$1"; then sed -i "s/limits.memory: lots/limits.memory: 64MB/" "$1"\n'
        'else printf "config: {limits.memory: lots}\\ndevices: {}\\n" >"$1"; fi\n'
    )
    script.chmod(0o755)
    edited = stopped if kind == "config" else profile
    status, shown = _edit(daemon, str(script), kind, "edit", edited)
    assert status == 0, shown
    assert "Config parsing error: limits.memory: Invalid integer: lots" in shown
    second = sorted(tmp_path.glob("round.*"))[1].read_text()
    assert second.startswith("### Error: limits.memory: Invalid integer: lots (as in 512MB, 2GB, 10%)\n")
    assert daemon.lxc(kind, "get", edited, "limits.memory") == "64MB\n"


def test_an_editor_that_fails_changes_nothing(daemon: Daemon, stopped: str) -> None:
    before = daemon.lxc("config", "show", stopped)
    status, shown = _edit(daemon, "false", "config", "edit", stopped)
    assert status == 1 and "nothing was changed" in shown
    assert daemon.lxc("config", "show", stopped) == before


def test_a_dry_run_tells_what_would_change_and_changes_nothing(
    daemon: Daemon, container: str, profile: str
) -> None:
    before = daemon.lxc("config", "show", container, "--expanded")
    said = daemon.lxc("config", "set", container, "limits.processes=9", "security.nesting=true", "--dry-run")
    assert (
        said == f"{container}: limits.processes: at once\n{container}: security.nesting: at the next start\n"
    )
    wrong = daemon.error("config", "set", container, "limits.processes", "0", "--dry-run")
    assert wrong.startswith("error: limits.processes: Invalid value")
    daemon.lxc("profile", "add", container, profile)
    said = daemon.lxc("profile", "set", profile, "environment.A", "b", "--dry-run")
    assert said == f"{container}: environment.A: with the next command that is run in it\n"
    daemon.lxc("config", "set", container, "user.a", "1")
    assert daemon.lxc("profile", "set", profile, "user.a", "2", "--dry-run") == "No container changes.\n"
    daemon.lxc("config", "unset", container, "user.a")
    daemon.lxc("profile", "remove", container, profile)
    assert daemon.lxc("config", "show", container, "--expanded") == before


def test_what_cannot_change_live_is_told(daemon: Daemon, container: str, profile: str) -> None:
    done = daemon.run("config", "set", container, "security.nesting", "true")
    assert done.stderr.decode() == f"security.nesting takes effect at the next start of {container}\n"
    assert daemon.run("config", "set", container, "limits.processes", "99").stderr == b""
    daemon.lxc("profile", "add", container, profile)
    done = daemon.run("profile", "set", profile, "raw.lxc", "lxc.environment = A=b")
    assert done.stderr.decode() == f"raw.lxc takes effect at the next start of {container}\n"


def test_changes_at_the_same_time_are_all_kept(daemon: Daemon, stopped: str) -> None:
    """Each `config set` is a PATCH: it is merged with what is stored then, not with what was read before."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        path, keys = f"/1.0/containers/{stopped}", [f"user.k{number}" for number in range(12)]
        bodies = (json.dumps({"config": {key: "1"}}) for key in keys)
        replies = list(pool.map(lambda body: daemon.request("PATCH", path, body), bodies))
    kept = yaml.safe_load(daemon.lxc("config", "show", stopped))["config"]
    accepted = [key for key, reply in zip(keys, replies, strict=True) if '"Success"' in reply]
    assert accepted and all(key in kept for key in accepted)
