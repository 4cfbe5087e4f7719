"""Ports that the kernel leads to containers, as nft reads them."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.drivers.devices.forwarding import nat
from wardian.errors import InvalidInput
from wardian.model.plans import Port

OWN = Port("tcp", "192.0.2.1", 80, "10.0.0.2", 8080)
ANY6 = Port("udp", "::", 53, "fd42::2", 5353)


def test_ports_are_elements_of_a_map() -> None:
    assert nat.rules([OWN, ANY6]).splitlines()[-2:] == [
        "add element inet wardian_ports own4 { tcp . 192.0.2.1 . 80 : 10.0.0.2 . 8080 }",
        "add element inet wardian_ports any6 { udp . 53 : fd42::2 . 5353 }",
    ]
    assert nat.no_rules([OWN, ANY6]).splitlines()[-2:] == [
        "delete element inet wardian_ports own4 { tcp . 192.0.2.1 . 80 }",
        "delete element inet wardian_ports any6 { udp . 53 }",
    ]


@given(kind=st.text(max_size=9), listen=st.text(max_size=20), host=st.text(max_size=20))
def test_no_value_adds_a_rule(kind: str, listen: str, host: str) -> None:
    plain = nat.rules([OWN])
    try:
        made = nat.rules([Port(kind, listen, 80, host, 8080)])  # type: ignore[arg-type]
    except (InvalidInput, ValueError):
        return
    assert made.count("\n") == plain.count("\n")
    assert ip_address(listen) and ip_address(host)


def test_what_is_led_is_known_from_a_listing() -> None:
    target = {"concat": ["10.0.0.2", 8080]}
    own = [[{"concat": ["tcp", "192.0.2.1", 80]}, target]]
    listing = [{"table": {}}, {"map": {"name": "own4", "elem": own}}, {"map": {"name": "any4"}}]
    assert nat.keys_of({"nftables": listing}) == {"own4 { tcp . 192.0.2.1 . 80"}


def test_what_has_no_ports_is_refused() -> None:
    with pytest.raises(InvalidInput, match="has no ports"):
        nat.rules([Port("unix", "192.0.2.1", 80, "10.0.0.2", 80)])  # type: ignore[arg-type]
