"""The table of configuration keys: what is accepted, the texts of refusals, defaults."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.errors import InvalidInput
from wardian.model import keys, limits, nics
from wardian.model.key import Key, Where

IDMAP = '[{"Isuid":true,"Isgid":false,"Hostid":100000,"Nsid":0,"Maprange":65536}]'


def refusal(config: dict[str, str], where: Where = "container") -> str:
    """The message with which a configuration is refused."""
    with pytest.raises(InvalidInput) as caught:
        keys.check_config(config, where=where)
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("boot.autostart", "yes"),
        ("boot.autostart.delay", "5"),
        ("boot.autostart.priority", "-3"),
        ("environment.http_proxy", "http://[fe80::1]:3128/"),
        ("limits.cpu", "2"),
        ("limits.cpu", "0,2-3"),
        ("limits.cpu.allowance", "50%"),
        ("limits.cpu.allowance", "25ms/100ms"),
        ("limits.cpu.priority", "0"),
        ("limits.disk.priority", "10"),
        ("limits.memory", "512MB"),
        ("limits.memory", "10%"),
        ("limits.memory.enforce", "soft"),
        ("limits.memory.swap", "off"),
        ("limits.memory.swap.priority", "10"),
        ("limits.processes", "200"),
        ("linux.kernel_modules", "overlay, nf_nat"),
        ("raw.idmap", "both 1000 1000\nuid 50-60 500-510"),
        ("raw.lxc", "# a comment\n\nlxc.cap.drop = sys_time\n lxc.net.0.ipv4.address=10.0.0.2/24"),
        ("security.idmap.base", "200000"),
        ("security.idmap.isolated", "true"),
        ("security.idmap.size", "1000"),
        ("security.nesting", "1"),
        ("security.privileged", "false"),
        ("user.user-data", "#cloud-config\nusers: []\n"),
        ("user.x.y", ""),
    ],
)
@pytest.mark.parametrize("where", ["container", "profile"])
def test_a_key_takes_a_value(key: str, value: str, where: Where) -> None:
    keys.check_config({key: value}, where=where)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("volatile.apply_template", "create"),
        ("volatile.base_image", "0" * 64),
        ("volatile.idmap.base", "0"),
        ("volatile.idmap.next", IDMAP),
        ("volatile.last_state.idmap", "[]"),
        ("volatile.last_state.power", "RUNNING"),
        ("volatile.eth0.host_name", "veth1a2b3c4d"),
        ("volatile.eth0.1.hwaddr", "00:16:3e:aa:bb:cc"),
        ("volatile.eth0.name", "eth0"),
    ],
)
def test_volatile_keys_belong_to_containers(key: str, value: str) -> None:
    keys.check_config({key: value}, where="container")
    assert refusal({key: value}, "profile") == f"{key}: Volatile keys can only be set on containers."


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("foo", "1", "Unknown configuration key: foo"),
        ("volatile.foo", "1", "Unknown configuration key: volatile.foo"),
        ("volatile.hwaddr", "1", "Unknown configuration key: volatile.hwaddr"),
        ("user.", "1", "Unknown configuration key: user."),
        ("limits.memry", "1", 'Unknown configuration key: limits.memry; did you mean "limits.memory"?'),
        ("security.nesting", "maybe", "Invalid value for a boolean: maybe (true or false)"),
        ("boot.autostart.delay", "-1", "Invalid value for an integer: -1 (not between 0 and 2147483647)"),
        ("boot.autostart.priority", "high", "Invalid value for an integer: high (a whole number)"),
        ("limits.cpu.priority", "11", "Invalid value for an integer: 11 (not between 0 and 10)"),
        ("limits.processes", "0", "Invalid value for an integer: 0 (not between 1 and 2147483647)"),
        ("limits.cpu", "0", "Invalid cpuset value: 0 (as in 2, 0,2, 0-3, 1-1)"),
        ("limits.cpu", "3-1", "Invalid cpuset value: 3-1 (as in 2, 0,2, 0-3, 1-1)"),
        ("limits.cpu", "1,", "Invalid cpuset value: 1, (as in 2, 0,2, 0-3, 1-1)"),
        ("limits.cpu.allowance", "50", "Invalid allowance: 50 (as in 50%, 25ms/100ms)"),
        ("limits.cpu.allowance", "0ms/100ms", "Invalid allowance: 0ms/100ms (as in 50%, 25ms/100ms)"),
        ("limits.cpu.allowance", "10ms/2000ms", "Invalid allowance: 10ms/2000ms (as in 50%, 25ms/100ms)"),
        ("limits.memory", "lots", "Invalid integer: lots (as in 512MB, 2GB, 10%)"),
        ("limits.memory", "5XB", "Unsupported suffix: XB (as in 512MB, 2GB, 10%)"),
        ("limits.memory", "0%", "Invalid value: 0% (as in 512MB, 2GB, 10%)"),
        ("limits.memory.enforce", "firm", "Invalid value: firm (not one of [soft hard])"),
        (
            "linux.kernel_modules",
            "a,,b",
            "Invalid value: a,,b (kernel module names are separated by commas)",
        ),
        ("linux.kernel_modules", "-r", "Invalid value: -r (kernel module names are separated by commas)"),
        ("security.idmap.size", "0", "Invalid value for uint32: 0: a map has at least one id"),
        ("security.idmap.base", "0", "Invalid value for uint32: 0: ids below 65536 belong to the host"),
        ("security.idmap.base", "x", "Invalid value for uint32: x: not a number below 2147483648"),
        ("raw.idmap", "both 1000", "invalid raw.idmap line both 1000"),
        ("raw.lxc", "lxc.cap.drop", "Invalid raw.lxc line: lxc.cap.drop"),
        ("raw.lxc", "lxc.logfile = /x", "Setting lxc.logfile is not allowed"),
        ("raw.lxc", "lxc.environment = A=b\n  lxc.log.file=/x", "Setting lxc.logfile is not allowed"),
        ("raw.lxc", "lxc.log.syslog = daemon", "Setting lxc.syslog is not allowed"),
        ("raw.lxc", "LXC.Ephemeral = 1", "Setting lxc.ephemeral is not allowed"),
        (
            "raw.lxc",
            "lxc.net.0.link = eth0",
            "Only interface-specific ipv4/ipv6 lxc.network. keys are allowed",
        ),
        ("raw.lxc", "lxc.net = ", "Only interface-specific ipv4/ipv6 lxc.network. keys are allowed"),
        (
            "raw.lxc",
            "lxc.network.ipv4 = ",
            "Only interface-specific ipv4/ipv6 lxc.network. keys are allowed",
        ),
        ("volatile.last_state.power", "ON", "Invalid value: ON (not one of [RUNNING STOPPED])"),
        (
            "volatile.eth0.name",
            "eth0\n",
            "a value of this key is one line without control characters: eth0\\n",
        ),
        ("volatile.idmap.next", "{}", "not an id map: '{}'"),
        ("user.x", "a\0b", "a value cannot contain a NUL character"),
    ],
)
def test_a_refusal_names_the_key_and_the_reason(key: str, value: str, message: str) -> None:
    expected = message if message.startswith("Unknown") else f"{key}: {message}"
    assert refusal({key: value}) == expected


@pytest.mark.parametrize(
    "key", [key.name for key in keys.KEYS if "*" not in key.name and not key.type.lines]
)
@pytest.mark.parametrize("value", ["1\nlxc.hook.pre-start = /bin/sh", "1\r", "\0", "\x1b[2J"])
def test_no_value_of_one_line_can_add_another(key: str, value: str) -> None:
    assert refusal({key: value}).isprintable()


@pytest.mark.parametrize("value", ["x\nlxc.hook.pre-start = /bin/sh", "x\0y", "x\ry"])
def test_no_environment_value_can_add_a_line(value: str) -> None:
    assert refusal({"environment.A": value}).startswith("environment.A: ")


@pytest.mark.parametrize("name", ["A B", "A=B", "1A", "A\nB", "Ä", ""])
def test_environment_names_are_those_of_a_shell(name: str) -> None:
    assert refusal({f"environment.{name}": "x"}).isprintable()


@pytest.mark.parametrize("name", ["a b", "a\nb", "\0", "x" * 300])
def test_user_keys_are_plain(name: str) -> None:
    assert refusal({f"user.{name}": "x"}).isprintable()


def test_an_empty_value_of_a_known_key_is_always_accepted() -> None:
    keys.check_config({key.name: "" for key in keys.KEYS if "*" not in key.name}, where="container")


def test_the_default_counts_when_a_key_is_unset_or_empty() -> None:
    assert keys.get({}, "limits.memory.enforce") == "hard"
    assert keys.get({"limits.memory.enforce": ""}, "limits.memory.enforce") == "hard"
    assert keys.is_on({}, "limits.memory.swap")
    assert not keys.is_on({"limits.memory.swap": "no"}, "limits.memory.swap")
    assert not keys.is_on({}, "boot.autostart")
    assert keys.number({"boot.autostart.delay": "7"}, "boot.autostart.delay") == 7
    assert keys.number({}, "boot.autostart.delay") == 0


def test_changes_are_the_keys_whose_value_differs() -> None:
    old = {"user.a": "1", "user.b": "1", "user.c": ""}
    assert keys.changes(old, {"user.a": "1", "user.b": "2", "user.d": "x"}) == ["user.b", "user.d"]
    assert keys.changes(old, old) == []


def test_keys_under_a_prefix_are_sorted_and_have_values() -> None:
    config = {"environment.B": "2", "environment.A": "1", "environment.C": "", "user.x": "1"}
    assert keys.under(config, "environment.") == [("environment.A", "1"), ("environment.B", "2")]


def test_each_default_is_a_value_that_the_key_takes() -> None:
    for key in keys.KEYS:
        if key.default:
            key.type.check(key.default)


def test_the_table_is_sorted_and_without_doubles() -> None:
    ordinary = [key.name for key in keys.KEYS if not key.name.startswith("volatile.")]
    assert ordinary == sorted(set(ordinary))
    assert len(keys.KEYS) == len({key.name for key in keys.KEYS})


def test_each_limit_names_the_group_that_renders_it() -> None:
    named = {key.render for key in keys.KEYS if key.render}
    assert named == set(limits.GROUPS)
    elsewhere = {key.name for key in keys.KEYS if key.check_own} | {nics.PRIORITY_KEY}
    of_groups = [k for k in keys.KEYS if k.name.startswith("limits.") and k.name not in elsewhere]
    assert all(key.render for key in of_groups)


@given(st.sampled_from([key for key in keys.KEYS if "*" not in key.name]), st.text(max_size=40))
def test_any_text_is_accepted_or_refused_on_one_line(key: Key, value: str) -> None:
    try:
        keys.check_config({key.name: value}, where="container")
    except InvalidInput as e:
        assert str(e).isprintable()


def test_a_seed_of_cloud_init_is_seen_under_both_names() -> None:
    found = keys.seen_inside({"cloud-init.user-data": "new", "user.vendor-data": "old", "user.x": "1"})
    assert found["user.user-data"] == "new" and found["cloud-init.vendor-data"] == "old"
    assert "cloud-init.network-config" in keys.seen_inside({"user.network-config": "{}"})
    both = {"cloud-init.user-data": "new", "user.user-data": "old"}
    assert keys.seen_inside(both) == both


def test_a_user_key_that_is_too_long_is_told_so() -> None:
    assert refusal({f"user.{'x' * 256}": "1"}).endswith(
        "is not up to 255 of the characters a-z A-Z 0-9 -_.:/@+"
    )
