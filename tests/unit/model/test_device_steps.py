"""From the devices that a container has to those it should have: what, and in which order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.errors import InvalidInput
from wardian.model import device_steps, devices
from wardian.model.device_steps import Steps, between

ROOT = {"type": "disk", "path": "/", "pool": "default"}


def disk(path: str, **options: str) -> dict[str, str]:
    return {"type": "disk", "path": path, "source": "/srv", **options}


def test_nothing_changes_when_nothing_differs() -> None:
    assert between({"a": disk("/a", readonly="")}, {"a": disk("/a")}) == Steps()


def test_parents_come_first_and_go_last() -> None:
    tree = {"a": disk("/x/y/z"), "b": disk("/x"), "c": disk("/x/y")}
    assert between({}, tree) == Steps(attach=("b", "c", "a"))
    assert between(tree, {}) == Steps(detach=("a", "c", "b"))


def test_what_is_live_changes_in_place() -> None:
    old = {"a": disk("/a", **{"limits.read": "1MB"})}
    assert between(old, {"a": disk("/a", **{"limits.max": "2MB"})}) == Steps(change=("a",))


def test_what_is_not_live_is_replaced() -> None:
    old = {"a": disk("/a")}
    assert between(old, {"a": disk("/a", readonly="true")}) == Steps(detach=("a",), attach=("a",))
    assert between(old, {"a": {"type": "none"}}) == Steps(detach=("a",), attach=("a",))


def test_a_mount_below_one_that_comes_or_goes_is_given_back() -> None:
    child, parent = disk("/srv/www"), disk("srv//")
    assert between({"c": child}, {"c": child, "p": parent}) == Steps(detach=("c",), attach=("p", "c"))
    assert between({"c": child, "p": parent}, {"c": child}) == Steps(detach=("c", "p"), attach=("c",))
    neighbour = disk("/srv-other")
    assert between({"n": neighbour}, {"n": neighbour, "p": parent}) == Steps(attach=("p",))


def test_the_root_disk_covers_nothing_and_keeps_being_writable() -> None:
    assert between({"a": disk("/a")}, {"a": disk("/a"), "root": ROOT}) == Steps(attach=("root",))
    assert between({"root": ROOT}, {"root": {**ROOT, "size": "1GB"}}) == Steps(change=("root",))
    with pytest.raises(InvalidInput, match="stop it first"):
        between({"root": ROOT}, {"other": {**ROOT, "readonly": "true"}})


PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
SETS = st.dictionaries(st.sampled_from("uvwxyz"), st.builds(disk, PATHS), max_size=5)


@given(SETS, SETS)
def test_the_steps_lead_from_one_set_to_the_other(
    old: dict[str, dict[str, str]], new: dict[str, dict[str, str]]
) -> None:
    steps = between(old, new)
    stack = [devices.place_of(device) for _, device in devices.sorted_devices(old)]
    for name in steps.detach:
        place = devices.place_of(old[name])
        assert not any(other.startswith(f"{place}/") for other in stack), "a parent goes before its child"
        stack.remove(place)
    for name in steps.attach:
        place = devices.place_of(new[name])
        assert not any(other.startswith(f"{place}/") for other in stack), "a parent covers its child"
        stack.append(place)
    assert sorted(stack) == sorted(devices.place_of(device) for device in new.values())
    assert device_steps.between(new, new) == Steps()
