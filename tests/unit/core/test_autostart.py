"""How all containers stop with the host."""

import pytest

from tests.unit.api.test_profiles import add_container
from wardian.core import autostart
from wardian.core.host import Host
from wardian.ports.runtime import Started


async def test_those_with_a_higher_priority_stop_first_each_within_its_time(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_container(host, "web", **{"boot.stop.priority": "5", "boot.host_shutdown_timeout": "7"})
    await add_container(host, "other")
    await add_container(host, "database", **{"boot.stop.priority": "-1"})
    for name in ("database", "other", "web"):
        host.running[name] = Started(name, 1, 2)
    stopped: list[tuple[str, int]] = []

    async def stop(_: Host, name: str, within_s: int) -> None:
        stopped.append((name, within_s))

    monkeypatch.setattr(autostart, "_stop", stop)
    await autostart.stop_all(host)
    assert stopped == [("web", 7), ("other", 30), ("database", 30)]
    assert host.going_down
    host.running.clear()
