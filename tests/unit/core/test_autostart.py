"""Which containers start with the daemon, and how all of them stop with the host."""

import asyncio

import pytest

from tests.unit.api.test_profiles import add_container
from wardian.core import autostart, starts
from wardian.core.host import Host
from wardian.errors import Busy, HostFailed
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


@pytest.fixture
def acts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done, in order: starts by name, pauses by their seconds. "broken" does not start."""
    noted: list[str] = []

    async def start(_: Host, name: str) -> None:
        noted.append(name)
        if name == "broken":
            raise HostFailed("no")
        if name == "bug":
            raise ValueError("a bug")

    async def sleep(seconds: int) -> None:
        noted.append(f"{seconds}s")

    monkeypatch.setattr(starts, "start", start)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    return noted


async def test_they_start_one_after_the_other_by_priority_then_name(host: Host, acts: list[str]) -> None:
    on = {"boot.autostart": "true"}
    ran = {"volatile.last_state.power": "RUNNING"}
    await add_container(host, "b", **on)
    await add_container(host, "a", **ran)
    await add_container(
        host, "broken", **on, **{"boot.autostart.priority": "9", "boot.autostart.delay": "4"}
    )
    await add_container(host, "bug", **on, **{"boot.autostart.priority": "8"})
    await add_container(host, "last", **on, **{"boot.autostart.priority": "-1", "boot.autostart.delay": "2"})
    await add_container(host, "never", **ran, **{"boot.autostart": "false"})
    await add_container(host, "stopped", **{"volatile.last_state.power": "STOPPED"})
    await add_container(host, "orphan", "gone", **on)
    await add_container(host, "runs", **on)
    host.running["runs"] = Started("runs", 1, 2)
    await autostart.start_all(host)
    assert acts == [*("broken", "4s", "bug", "0s", "a", "0s", "b", "0s", "orphan", "0s", "last", "2s")]
    host.running.clear()


async def test_once_the_host_goes_down_nothing_starts_any_more(host: Host, acts: list[str]) -> None:
    await add_container(host, "a", **{"boot.autostart": "true"})
    await autostart.stop_all(host)
    await autostart.start_all(host)
    assert acts == []


async def test_who_wants_to_start_one_then_is_told_so(host: Host) -> None:
    await add_container(host, "a")
    await autostart.stop_all(host)
    with pytest.raises(Busy, match="shutting down"):
        await starts.start(host, "a")


async def test_a_start_that_is_under_way_is_waited_for_and_stopped(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_container(host, "a")
    stopped: list[str] = []

    async def stop(_: Host, name: str, within_s: int) -> None:
        stopped.append(name)

    monkeypatch.setattr(autostart, "_stop", stop)
    async with host.operations.lock("a", "start"):
        stopping = asyncio.create_task(autostart.stop_all(host))
        for _ in range(50):
            await asyncio.sleep(0)
        assert host.going_down and not stopped
        host.running["a"] = Started("a", 1, 2)
    await stopping
    assert stopped == ["a"]
    host.running.clear()
