"""Merging profiles and local configuration; the root disk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.errors import InvalidInput
from wardian.model import expand
from wardian.model.container import Profile

NIC = {"type": "nic", "nictype": "p2p"}
ROOT = {"type": "disk", "path": "/", "pool": "default"}
DEFAULT = Profile(name="default", config={"user.a": "1", "user.b": "1"}, devices={"root": ROOT, "eth0": NIC})
EXTRA = Profile(name="extra", config={"user.b": "2"}, devices={"eth0": {"type": "none"}})


def test_later_profiles_win_and_local_values_win_over_all() -> None:
    assert expand.expand_config([DEFAULT, EXTRA], {"user.c": "3"}) == {
        "user.a": "1",
        "user.b": "2",
        "user.c": "3",
    }
    assert expand.expand_config([EXTRA, DEFAULT], {"user.a": "9"}) == {"user.a": "9", "user.b": "1"}


def test_an_empty_local_value_hides_a_profile_value() -> None:
    assert expand.expand_config([DEFAULT], {"user.a": ""}) == {"user.b": "1"}


def test_a_device_is_replaced_as_a_whole() -> None:
    local = {"root": {"type": "disk", "path": "/"}}
    assert expand.expand_devices([DEFAULT, EXTRA], local) == {
        "root": local["root"],
        "eth0": {"type": "none"},
    }


def test_expanding_shares_no_device_with_the_profile() -> None:
    expand.expand_devices([DEFAULT], {})["root"]["size"] = "1GB"
    assert "size" not in DEFAULT.devices["root"]


def test_the_source_of_each_value_is_known() -> None:
    assert expand.config_sources([DEFAULT, EXTRA], {"user.a": "x"}) == {
        "user.a": expand.LOCAL,
        "user.b": "extra",
    }
    assert expand.device_sources([DEFAULT, EXTRA], {}) == {"root": "default", "eth0": "extra"}


def test_the_root_device_is_the_disk_at_the_root() -> None:
    devices = {"data": {"type": "disk", "path": "/data", "source": "/srv"}, "disk0": ROOT}
    assert expand.root_device(devices) == ("disk0", ROOT)
    assert expand.has_root_device(devices)


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ({}, "No root device could be found."),
        ({"root": {"type": "none"}}, "No root device could be found."),
        ({"a": ROOT, "b": ROOT}, "More than one root device found."),
    ],
)
def test_there_is_exactly_one_root_device(devices: dict[str, dict[str, str]], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        expand.root_device(devices)
    assert str(caught.value) == message


CONFIGS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["", "1", "2"]))


@given(st.lists(CONFIGS, max_size=3), CONFIGS)
def test_every_value_that_counts_has_a_source_that_sets_it(
    layers: list[dict[str, str]], local: dict[str, str]
) -> None:
    profiles = [Profile(name=f"p{number}", config=layer) for number, layer in enumerate(layers)]
    by_name = {profile.name: profile.config for profile in profiles} | {expand.LOCAL: local}
    sources = expand.config_sources(profiles, local)
    for key, value in expand.expand_config(profiles, local).items():
        assert by_name[sources[key]][key] == value
