"""limits.kernel.* and linux.sysctl.*"""

import pytest

from wardian.errors import InvalidInput
from wardian.model import kernel_limits


@pytest.mark.parametrize(
    ("text", "bounds", "rendered"),
    [
        ("100", (100, 100), "100:100"),
        ("100:200", (100, 200), "100:200"),
        ("unlimited", (-1, -1), "unlimited:unlimited"),
        ("5:unlimited", (5, -1), "5:unlimited"),
    ],
)
def test_a_limit_is_one_number_or_two(text: str, bounds: tuple[int, int], rendered: str) -> None:
    assert kernel_limits.parse_limit(text) == bounds
    assert kernel_limits.render_limit(bounds) == rendered


@pytest.mark.parametrize("text", ["", "x", "-1", "2:1", "unlimited:5", "1:2:3", "1:", "9" * 30, "1\n2"])
def test_other_texts_are_no_limits(text: str) -> None:
    with pytest.raises(InvalidInput):
        kernel_limits.parse_limit(text)


@pytest.mark.parametrize("name", ["net.ipv4.ip_forward", "net.ipv4.conf.all.rp_filter", "kernel.shmmax"])
def test_a_containers_own_parameters_can_be_set(name: str) -> None:
    kernel_limits.check_sysctl(name)


@pytest.mark.parametrize(
    "name", ["kernel.core_pattern", "vm.swappiness", "net", "net.", "net..x", "net/../kernel", "net.a/b", ""]
)
def test_the_hosts_parameters_cannot(name: str) -> None:
    with pytest.raises(InvalidInput, match="not a container's own"):
        kernel_limits.check_sysctl(name)


def test_they_are_taken_from_the_merged_configuration() -> None:
    config = {"limits.kernel.nofile": "5", "linux.sysctl.net.ipv4.ip_forward": "1", "limits.kernel.core": ""}
    assert kernel_limits.limits_of(config) == {"nofile": (5, 5)}
    assert kernel_limits.sysctls_of(config) == {"net.ipv4.ip_forward": "1"}
    assert kernel_limits.sysctl_path("net.ipv4.ip_forward") == "net/ipv4/ip_forward"
