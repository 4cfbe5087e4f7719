"""The pool that `lxd init` makes, by options and by questions."""

import argparse
from collections.abc import Callable

import pytest

from wardian.daemon import setup_pools
from wardian.drivers import storage
from wardian.errors import InvalidInput

ALL = ["zfs", "btrfs", "overlay", "lvm", "dir"]


class Answers:
    """Gives answers by the start of a question; else the default."""

    def __init__(self, **answers: str) -> None:
        self.answers = {key.replace("_", " "): answer for key, answer in answers.items()}
        self.asked: list[str] = []

    def ask(self, question: str, default: str, accept: Callable[[str], bool]) -> str:
        self.asked.append(question)
        answer = next((a for q, a in self.answers.items() if question.startswith(q)), default)
        assert accept(answer), question
        return answer

    def yes(self, question: str, default: bool) -> bool:
        return self.ask(question, "yes" if default else "no", bool) == "yes"


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    there = [*ALL]
    monkeypatch.setattr(storage, "available", lambda: there)
    return there


def options(**given: object) -> argparse.Namespace:
    names = ("storage_backend", "storage_create_device", "storage_create_loop", "storage_pool")
    return argparse.Namespace(**{**dict.fromkeys(names), **given})


def test_the_best_that_the_host_has_is_taken(host: list[str]) -> None:
    assert setup_pools.by_options(options())["driver"] == "zfs"
    host.remove("zfs")
    assert setup_pools.by_options(options(storage_create_loop=7)) == {
        "name": "default",
        "driver": "btrfs",
        "config": {"size": "7GB"},
    }


@pytest.mark.parametrize(
    ("given", "config"),
    [
        ({"storage_backend": "zfs", "storage_pool": "tank/lxd"}, {"source": "tank/lxd"}),
        (
            {"storage_backend": "zfs", "storage_pool": "tank", "storage_create_loop": 1},
            {"size": "1GB", "zfs.pool_name": "tank"},
        ),
        (
            {"storage_backend": "lvm", "storage_create_device": "/dev/sdb"},
            {"source": "/dev/sdb", "lvm.vg_name": "lxd"},
        ),
    ],
)
def test_the_pool_option_names_what_zfs_and_lvm_are_on(
    given: dict[str, object], config: dict[str, str]
) -> None:
    made = setup_pools.by_options(options(**given))
    assert (made["name"], made["config"]) == ("default", config)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"storage_backend": "ceph"}, "isn't supported by lxd init"),
        ({"storage_backend": "lvm"}, "isn't available"),
        ({"storage_backend": "overlay", "storage_create_loop": 1}, "'overlay' backend"),
        ({"storage_backend": "dir", "storage_pool": "x"}, "None of --storage-pool"),
        ({"storage_create_device": "/dev/sdb", "storage_create_loop": 1}, "Only one of"),
    ],
)
def test_options_that_cannot_be_are_refused(host: list[str], given: dict[str, object], words: str) -> None:
    host.remove("lvm")
    with pytest.raises(InvalidInput, match=words):
        setup_pools.check(options(**given))


def test_what_exists_is_used_if_the_answer_says_so() -> None:
    asker = Answers(Create_a_new="no", Name_of_the_existing="tank/x")
    made = setup_pools.by_questions(asker)
    assert made == {"name": "default", "driver": "zfs", "config": {"source": "tank/x"}}
    assert asker.asked[0] == (
        "Name of the storage backend to use (zfs, btrfs, overlay, lvm or dir) [default=zfs]:"
    )
    assert asker.asked[-1] == "Name of the existing ZFS pool or dataset:"


def test_a_new_one_is_on_a_loop_file_unless_there_is_a_device() -> None:
    made = setup_pools.by_questions(Answers(Name_of_the_storage_backend="lvm", Size_in_GB="20"))
    assert made["config"] == {"lvm.vg_name": "lxd", "size": "20GB"}


def test_folders_are_not_asked_for_a_disk() -> None:
    asker = Answers(Name_of_the_storage_backend="dir")
    assert setup_pools.by_questions(asker)["config"] == {}
    assert len(asker.asked) == 1


def test_a_second_pool_is_asked_for_its_name() -> None:
    asker = Answers(Name_of_the_storage_backend="dir", Name_of_the_new_storage="other")
    assert setup_pools.by_questions(asker, ["default"])["name"] == "other"
