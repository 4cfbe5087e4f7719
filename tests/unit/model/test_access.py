import pytest

from wardian.errors import InvalidInput
from wardian.model import access
from wardian.model.access import FULL, Access

SOME = Access(containers=("c1", "c2"))


def test_without_restrictions_all_is_seen() -> None:
    assert FULL.is_full and FULL.reaches("x")
    assert FULL.sees_source("/1.0/images/x") and FULL.sees_resources(None)


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("/1.0/containers/c1", True),
        ("/1.0/instances/c2", True),
        ("/1.0/containers/c1/snapshots/s%2F0", True),
        ("/1.0/containers/c1?project=x", True),
        ("/1.0/containers/c3", False),
        ("/1.0/containers/c11", False),
        ("/1.0/containers/c1%2F", False),
        ("/1.0/containers", False),
        ("/1.0/containers/", False),
        ("/1.0/images/c1", False),
        ("/1.0/profiles/c1", False),
        ("c1", False),
        ("", False),
    ],
)
def test_only_what_is_in_ones_own_containers_is_seen(url: str, seen: bool) -> None:
    assert SOME.sees_source(url) is seen
    assert SOME.sees_resources({"containers": [url]}) is seen
    assert SOME.sees_resources({"containers": ["/1.0/containers/c1"], "images": [url]}) is seen


def test_backups_are_those_of_the_container_beside_them() -> None:
    assert SOME.sees_resources({"containers": ["/1.0/containers/c1"], "backups": ["/1.0/backups/b0"]})
    assert not SOME.sees_resources({"containers": ["/1.0/containers/c3"], "backups": ["/1.0/backups/b0"]})


@pytest.mark.parametrize(
    "resources", [None, {}, {"containers": []}, {"containers": [], "backups": ["/1.0/backups/b0"]}]
)
def test_work_on_nothing_in_particular_is_not_seen(resources: dict[str, list[str]] | None) -> None:
    assert not SOME.sees_resources(resources)


def test_no_containers_are_none_and_not_all() -> None:
    nobody = access.make(read_only=False, containers=[])
    assert not nobody.is_full and not nobody.reaches("c1")
    assert nobody.describe() == "no containers"


def test_names_are_checked_and_each_is_there_once() -> None:
    assert access.make(read_only=True, containers=["c1", "c2", "c1"]) == Access(
        read_only=True, containers=("c1", "c2")
    )
    for wrong in ("", "../x", "a/b", "*"):
        with pytest.raises(InvalidInput):
            access.make(read_only=False, containers=[wrong])
    with pytest.raises(InvalidInput, match="more than"):
        access.make(read_only=False, containers=["c1"] * (access.MOST_CONTAINERS + 1))
