"""Requests that are wrong: the error names the field, nothing is made, the daemon goes on."""

import json
import shutil

import pytest

from tests.system.harness import Daemon

BAD_BODIES = {
    "{": "not valid JSON",
    "[]": "expected object",
    '{"nam": 1, "source": {}}': 'unknown field "nam"',
    '{"name": 1, "source": {"type": "none"}}': 'field "name"',
    '{"name": "x"}': '"source" is missing',
    '{"name": "x", "source": {"type": "nosuch"}}': "unknown source type nosuch",
    '{"name": "x", "config": {"a": 1}, "source": {"type": "none"}}': 'field "config',
    '{"name": "x", "config": {"nosuch.key": "1"}, "source": {"type": "none"}}': "nosuch.key",
    '{"name": "x", "profiles": ["nosuch"], "source": {"type": "none"}}': "nosuch",
    '{"name": "x", "devices": {"d": {"type": "nosuch"}}, "source": {"type": "none"}}': "'d'",
    '{"name": "x", "source": {"type": "image", "alias": "nosuch"}}': "nosuch",
    '{"name": "x", "config": {"environment.A": "a\\nb = c"}, "source": {"type": "none"}}': "environment.A",
}


@pytest.mark.parametrize("body", BAD_BODIES)
def test_a_wrong_body_is_refused(daemon: Daemon, body: str) -> None:
    answer = json.loads(daemon.request("POST", "/1.0/containers", body))
    assert answer["type"] == "error" and answer["error_code"] in (400, 404), answer
    assert BAD_BODIES[body] in answer["error"]
    assert "x" not in daemon.names()


@pytest.mark.parametrize("name", ["-abc", "abc-", "1234", "12test", "a_b_c", "a" * 64, "a/b"])
def test_bad_names_are_refused(daemon: Daemon, name: str) -> None:
    body = json.dumps({"name": name, "source": {"type": "none"}})
    assert json.loads(daemon.request("POST", "/1.0/containers", body))["error_code"] == 400


def test_a_taken_name_is_told(daemon: Daemon, container: str) -> None:
    assert "already exists" in daemon.error("init", "bb", container)


def test_a_failed_start_leaves_the_container_stopped_and_says_why(daemon: Daemon, name: str) -> None:
    daemon.lxc("init", "bb", name, "-c", "raw.lxc=lxc.init.cmd = /nonexistent")
    error = daemon.error("start", name)
    assert f'cannot start container "{name}"' in error
    assert daemon.lxc("list", f"^{name}$", "-c", "s", "--format", "csv") == "STOPPED\n"
    assert daemon.lxc("config", "get", name, "volatile.last_state.power") != "RUNNING\n"


def test_a_stale_etag_is_refused(daemon: Daemon) -> None:
    answer = daemon.request("PATCH", "/1.0/profiles/default", '{"description": "x", "nosuch": 1}')
    assert "unknown field" in answer


def test_host_ids_that_root_may_not_hand_out_are_named_before_the_start(daemon: Daemon, name: str) -> None:
    if any(shutil.which(tool) is None for tool in ("newuidmap", "newgidmap")):
        pytest.skip("without newuidmap and newgidmap the kernel maps any id")
    daemon.lxc("init", "bb", name)
    foreign = daemon.error("config", "set", name, "raw.idmap", "uid 4000000001 1000")
    assert 'add the line "root:4000000001:1" to /etc/subuid' in foreign
    daemon.lxc("start", name)
