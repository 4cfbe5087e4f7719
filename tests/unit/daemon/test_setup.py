"""`lxd init`: which flags go together, the questions and their order, what becomes of the answers."""

import argparse
import io
from typing import Any

import pytest

from wardian.client.connection import ApiError, Connection
from wardian.daemon import setup, setup_options, setup_pools
from wardian.daemon.setup_questions import Asker
from wardian.drivers import storage
from wardian.errors import InvalidInput, WardianError
from wardian.linux import userns
from wardian.programs import Parser

QUESTIONS = """\
Do you want to configure a new storage pool (yes/no) [default=yes]?
Name of the storage backend to use (zfs or dir) [default=zfs]:
Create a new ZFS pool (yes/no) [default=yes]?
Name of the new ZFS pool [default=lxd]:
Would you like to use an existing block device (yes/no) [default=no]?
Size in GB of the new loop device (1GB minimum) [default=33]:
Would you like LXD to be available over the network (yes/no) [default=no]?
Address to bind LXD to (not including port) [default=all]:
Port to bind LXD to [default=8443]:
Trust password for new clients:
Again:
Would you like to create a new network bridge (yes/no) [default=yes]?
"""


class Daemon(Connection):
    """A daemon that has things, and notes what it is asked to change."""

    def __init__(self, **things: Any) -> None:
        super().__init__()
        self.things: dict[str, Any] = {"/1.0/storage-pools": [], "/1.0/networks?recursion=1": []}
        self.things |= {path.replace("__", "/1.0/").replace("_", "-"): has for path, has in things.items()}
        self.asked: list[tuple[str, str]] = []
        self.refuses = ""

    def get(self, path: str) -> Any:
        if path not in self.things:
            raise ApiError("not found", 404)
        return self.things[path]

    def request(
        self, verb: str, path: str, content: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[dict[str, Any], dict[str, str]]:
        if f"{verb} {path}" == self.refuses:
            raise ApiError("it cannot be")
        self.asked.append((verb, path))
        return {}, {}


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "available", lambda: ["zfs", "dir"])
    monkeypatch.setattr(setup_pools, "loop_size_gb", lambda: 33)
    monkeypatch.setattr(setup, "free_bridge", lambda: "lxdbr0")
    monkeypatch.setattr(userns, "is_initial", lambda: True)


def options(words: str) -> argparse.Namespace:
    grammar = Parser()
    setup_options.add(grammar)
    return grammar.parse_args(words.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--storage-backend dir", "Init configuration is only valid with --auto"),
        ("--network-port 8443", "Init configuration is only valid with --auto"),
        ("--preseed --trust-password x", "Init configuration is only valid with --auto"),
        ("--auto --preseed", "--auto and --preseed"),
        ("--auto --storage-backend ceph", "The requested backend 'ceph' isn't supported by lxd init."),
        ("--auto --storage-backend btrfs", "isn't available on your system (missing tools)."),
        ("--auto --storage-backend dir --storage-create-loop 5", "None of --storage-pool"),
        ("--auto --storage-backend dir --storage-create-device /dev/x", "None of --storage-pool"),
        ("--auto --storage-backend dir --storage-pool x", "None of --storage-pool"),
        ("--auto --storage-create-device /dev/x --storage-create-loop 5", "Only one of"),
        ("--auto --network-port 8443", "--network-port cannot be used without --network-address."),
        ("--auto --trust-password x", "--trust-password cannot be used without --network-address."),
    ],
)
def test_flags_that_do_not_go_together_are_refused(words: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        setup.check(options(words))
    assert said in str(refused.value)


def answered(monkeypatch: pytest.MonkeyPatch, daemon: Daemon, *answers: str) -> setup.Plan:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{answer}\n" for answer in answers)))
    return setup.interactive(daemon, Asker())


def test_the_questions_are_those_of_the_specification_in_its_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = ["", "", "", "", "", "", "yes", "::1", "", "secret", "secret", "no"]
    plan = answered(monkeypatch, Daemon(), *answers)
    assert capsys.readouterr().out.replace("? ", "?\n").replace(": ", ":\n") == QUESTIONS
    assert plan.pools == [
        {"name": "default", "driver": "zfs", "config": {"zfs.pool_name": "lxd", "size": "33GB"}}
    ]
    assert plan.config == {"core.https_address": "[::1]:8443", "core.trust_password": "secret"}
    assert plan.networks == [] and "eth0" not in plan.profiles[0]["devices"]


def test_bad_answers_are_asked_again_and_the_end_of_the_input_is_the_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = [
        "perhaps",
        "yes",
        "ceph",
        "dir",
        "yes",
        "host.example",
        "all",
        "0",
        "9000",
        "a",
        "b",
        "c",
        "c",
    ]
    plan = answered(monkeypatch, Daemon(), *answers)
    assert capsys.readouterr().err == "Invalid input, try again.\n" * 5
    assert plan.config == {"core.https_address": "[::]:9000", "core.trust_password": "c"}
    assert plan.networks == [{"name": "lxdbr0", "config": {"ipv4.address": "auto", "ipv6.address": "auto"}}]


def test_without_a_default_the_end_of_the_input_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WardianError, match="no answer on standard input"):
        answered(monkeypatch, Daemon(), "yes", "zfs", "no")


def test_what_exists_is_kept_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Daemon(
        __storage_pools=["/1.0/storage-pools/tank"],
        **{
            "/1.0/networks?recursion=1": [
                {"name": "eth0", "managed": False},
                {"name": "br7", "managed": True},
            ]
        },
    )
    for plan in (answered(monkeypatch, daemon), setup.automatic(daemon, options("--auto"))):
        assert (plan.pools, plan.networks) == ([], [])
        devices = plan.profiles[0]["devices"]
        assert (devices["root"]["pool"], devices["eth0"]["parent"]) == ("tank", "br7")
    assert setup.automatic(daemon, options("--auto --storage-backend dir")).pools[0]["driver"] == "dir"


def test_a_container_without_ids_of_its_own_is_asked_whether_to_share_its_parents(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(userns, "is_initial", lambda: False)
    monkeypatch.setattr(setup, "default_idmap", lambda: None)
    plan = answered(monkeypatch, Daemon(), "no")
    assert "share their parent's allocation (yes/no) [default=yes]?" in capsys.readouterr().out
    assert plan.profiles[0]["config"] == {"security.privileged": "true"}


def test_a_failure_takes_back_what_was_done() -> None:
    pool = {"name": "tank", "driver": "dir", "description": "", "config": {"source": "/x"}}
    daemon = Daemon(**{"/1.0": {"config": {}}, "/1.0/storage-pools/tank": pool})
    daemon.refuses = "POST /1.0/profiles"
    plan = setup.preseed(
        "config: {core.https_address: '[::]'}\nstorage_pools: [{name: tank, description: fast}]\n"
        "networks: [{name: br0}]\nprofiles: [{name: web}]\n"
    )
    with pytest.raises(WardianError, match="it cannot be"):
        setup.apply(daemon, plan)
    assert daemon.asked == [
        ("PATCH", "/1.0"),
        ("PUT", "/1.0/storage-pools/tank"),
        ("POST", "/1.0/networks"),
        ("DELETE", "/1.0/networks/br0"),
        ("PUT", "/1.0/storage-pools/tank"),
        ("PUT", "/1.0"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "- a list",
        "a: [",
        "clusters: []",
        "networks: {a: 1}",
        "networks: [{}]",
        "config: [1]",
        "x" * 1024 * 1024 + "y",
    ],
)
def test_a_preseed_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="the preseed"):
        setup.preseed(text)
