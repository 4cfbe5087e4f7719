"""Addresses of proxy devices."""

import pytest

from wardian.errors import InvalidInput
from wardian.model import forwards
from wardian.model.forwards import End

NAT = {"type": "proxy", "nat": "true", "listen": "tcp:0.0.0.0:80", "connect": "tcp:10.0.0.2:80"}
NIC = {"type": "nic", "network": "br0"}


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("tcp:0.0.0.0:80", [End("tcp", "0.0.0.0", 80)]),
        ("tcp:[::]:80", [End("tcp", "::", 80)]),
        ("udp:127.0.0.1:53", [End("udp", "127.0.0.1", 53)]),
        ("tcp:10.0.0.1:80-81,90", [End("tcp", "10.0.0.1", port) for port in (80, 81, 90)]),
        ("unix:/run/x.sock", [End("unix", path="/run/x.sock")]),
        ("unix:@x", [End("unix", path="@x")]),
    ],
)
def test_an_address_names_ends(text: str, ends: list[End]) -> None:
    assert forwards.parse(text) == ends


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not tcp:ADDRESS:PORT"),
        ("tcp:localhost:80", "not tcp:ADDRESS:PORT"),
        ("sctp:1.2.3.4:80", "not tcp:ADDRESS:PORT"),
        ("tcp:1.2.3:80", "1.2.3 is not an IP address"),
        ("tcp:[1.2.3.4]:80", "written in brackets"),
        ("tcp:1.2.3.4:0", "0 is not a port"),
        ("tcp:1.2.3.4:65536", "65536 is not a port"),
        ("tcp:1.2.3.4:90-80", "90-80 is not a port"),
        ("tcp:1.2.3.4:1-60000", "more than 250 ports"),
        ("tcp:1.2.3.4:80,", " is not a port"),
        ("unix:", "not a plain absolute path"),
        ("unix:@", "not a plain absolute path"),
        ("unix:run/x", "not a plain absolute path"),
        ("unix:/run/../x", "not a plain absolute path"),
        ("unix:/run/", "not a plain absolute path"),
        ("unix:/" + "x" * 107, "longer than 107 bytes"),
    ],
)
def test_a_wrong_address_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        forwards.parse(text)
    assert message in str(caught.value)


def test_ports_are_paired() -> None:
    both = forwards.pairs({"listen": "tcp:0.0.0.0:80-81", "connect": "tcp:127.0.0.1:8080-8081"})
    assert [(a.port, b.port) for a, b in both] == [(80, 8080), (81, 8081)]
    one = forwards.pairs({"listen": "tcp:0.0.0.0:80-81", "connect": "unix:/x"})
    assert [b.path for _, b in one] == ["/x", "/x"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"listen": "tcp:0.0.0.0:1"}, 'Proxy entry is missing the required "connect" property.'),
        (
            {"listen": "tcp:0.0.0.0:1-3", "connect": "tcp:0.0.0.0:1-2"},
            '"listen" names 3 ports and "connect" 2',
        ),
        ({"listen": "udp:0.0.0.0:1", "connect": "tcp:0.0.0.0:1"}, "from udp leads to udp"),
        ({"listen": "tcp:0.0.0.0:1", "connect": "tcp:0.0.0.0:1", "mode": "0600"}, '"mode" is of the socket'),
        (
            {"listen": "unix:/x", "connect": "tcp:0.0.0.0:1", "proxy_protocol": "true"},
            '"listen" is not tcp',
        ),
        ({**NAT, "bind": "container"}, 'remove "bind=container"'),
        ({**NAT, "connect": "unix:/x"}, '"nat" leads from tcp to tcp'),
        ({**NAT, "connect": "tcp:[fd42::2]:80"}, '"nat" leads from IPv4 to IPv4'),
        ({**NAT, "connect": "tcp:127.0.0.1:80"}, '"connect": 127.0.0.1 cannot be reached from outside'),
        ({**NAT, "listen": "tcp:127.0.0.1:80"}, '"listen": 127.0.0.1 cannot be reached from outside'),
        ({**NAT, "proxy_protocol": "true"}, "the container sees who connects"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        forwards.check(options)
    assert message in str(caught.value)


def test_nat_leads_to_an_address_that_a_nic_keeps() -> None:
    wild = {**NAT, "connect": "tcp:0.0.0.0:80-81", "listen": "tcp:192.0.2.1:90-91"}
    own = {**NIC, "ipv4.address": "10.0.0.2"}
    forwards.check_targets({"web": NAT, "eth0": own}, {})
    found = forwards.with_targets({"web": wild, "eth0": own, "plain": {**NAT, "nat": "false"}}, {})
    assert found["web"]["connect"] == "tcp:10.0.0.2:80-81" and found["plain"]["connect"] == NAT["connect"]
    guarded = {**NIC, "security.ipv4_filtering": "true"}
    forwards.check_targets({"web": wild, "eth0": guarded}, {})  # it will be chosen
    chosen = {"volatile.eth0.ipv4.address": "10.0.0.2"}
    forwards.check_targets({"web": NAT, "eth0": guarded}, chosen)
    assert forwards.with_targets({"web": wild, "eth0": guarded}, chosen)["web"] == found["web"]
    six = {**NAT, "listen": "tcp:[::]:80", "connect": "tcp:[::]:80"}
    routed = {"type": "nic", "nictype": "routed", "ipv6.address": "2001:db8::2"}
    assert (
        forwards.with_targets({"web": six, "eth0": routed}, {})["web"]["connect"] == "tcp:[2001:db8::2]:80"
    )
    with pytest.raises(InvalidInput, match=r'device "web": .* set "ipv4.address" of one to 10.0.0.2'):
        forwards.check_targets({"web": NAT, "eth0": NIC}, {})
    with pytest.raises(InvalidInput, match=r'set "ipv6.address" of one$'):
        forwards.check_targets({"web": six, "eth0": own}, {})
    with pytest.raises(InvalidInput, match=r'devices "b" and "web" both listen on tcp:0.0.0.0:80'):
        forwards.check_targets({"web": NAT, "b": {**NAT, "listen": "tcp:0.0.0.0:79-80"}, "eth0": own}, {})
