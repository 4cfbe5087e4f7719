"""When a change of configuration reaches a container."""

from wardian.model.effects import Effects, between

OLD = ({"limits.memory": "1GB", "user.x": "1"}, {"eth0": {"type": "nic", "mtu": ""}})


def test_each_key_reaches_what_runs_when_its_row_says_so() -> None:
    config = {
        "limits.memory": "2GB",
        "security.privileged": "true",
        "environment.A": "b",
        "user.x": "2",
        "volatile.eth0.name": "eth0",
    }
    found = between(OLD, (config, OLD[1]), running=True)
    assert found.config == {
        "environment.A": "exec",
        "limits.memory": "now",
        "security.privileged": "start",
        "user.x": "now",
    }
    assert found.devices == {}


def test_what_does_not_run_waits_for_its_start() -> None:
    found = between(OLD, ({"limits.memory": "2GB"}, {}), running=False)
    assert found == Effects(
        running=False, config={"limits.memory": "start", "user.x": "now"}, devices={"eth0": "start"}
    )


def test_an_empty_property_is_no_difference() -> None:
    assert between(OLD, (OLD[0], {"eth0": {"type": "nic"}}), running=True).devices == {}
