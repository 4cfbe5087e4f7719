"""Operations: how they end, who may cancel them, and the lock on a container."""

import asyncio
from typing import Any

import pytest

from wardian.core.events import Events
from wardian.core.operations import Operation, Operations
from wardian.errors import Busy, Forbidden, InvalidInput, NotFound


async def test_an_operation_ends_with_what_its_work_returns() -> None:
    operations = Operations(Events())

    async def work(operation: Operation) -> dict[str, Any]:
        operation.progress("unpack", "50%")
        return {"return": 3}

    started = operations.start("test", work)
    assert started.status == "Running"
    ended = await operations.wait(started.id)
    assert (ended.status, ended.metadata, ended.err) == ("Success", {"return": 3}, "")


async def test_a_failure_is_told_in_its_own_words() -> None:
    operations = Operations(Events())

    async def work(operation: Operation) -> None:
        operation.progress("unpack", "50%", percent="50")
        raise NotFound('image "x" not found')

    ended = await operations.wait(operations.start("test", work, metadata={"kept": "1"}).id)
    assert (ended.status, ended.err) == ("Failure", 'image "x" not found')
    assert ended.metadata == {"kept": "1"}


@pytest.mark.parametrize("begun", [False, True])
async def test_a_cancelled_operation_cleans_up_and_ends(begun: bool) -> None:
    operations = Operations(Events())
    running, cleaned = asyncio.Event(), []

    async def work(_: Operation) -> None:
        try:
            running.set()
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    started = operations.start("test", work, may_cancel=True)
    if begun:
        await running.wait()
    operations.cancel(started.id)
    assert (await operations.wait(started.id)).status == "Cancelled"
    assert cleaned == ([True] if begun else [])
    with pytest.raises(InvalidInput, match="Only running operations"):
        operations.cancel(started.id)


async def test_what_may_not_be_cancelled_is_not() -> None:
    operations = Operations(Events())
    go_on = asyncio.Event()

    async def work(_: Operation) -> None:
        await go_on.wait()

    started = operations.start("test", work)
    with pytest.raises(InvalidInput, match="can't be cancelled"):
        operations.cancel(started.id)
    assert (await operations.wait(started.id, 0)).status == "Running"
    go_on.set()
    await operations.wait(started.id)


async def test_secrets_open_one_stream_each_and_are_not_shown() -> None:
    operations = Operations(Events())

    async def work(operation: Operation) -> None:
        await operation.sockets["0"]

    started = operations.start("test", work, kind="websocket", sockets=("0",))
    secret = started.metadata["fds"]["0"]
    assert secret not in str(started.render(metadata=False))
    with pytest.raises(Forbidden):
        started.check_secret("x" * 64)
    assert started.check_secret(secret) == "0"
    started.sockets["0"].set_result(None)  # type: ignore[arg-type]
    await operations.wait(started.id)
    with pytest.raises(Forbidden):
        started.check_secret(secret)


async def test_one_action_at_a_time_holds_a_container() -> None:
    operations = Operations(Events())
    async with operations.lock("c1", "start"):
        with pytest.raises(Busy, match="busy running a start operation"):
            async with operations.lock("c1", "stop"):
                raise AssertionError("not reached")
        async with operations.lock("c2", "stop"):
            pass
    async with operations.lock("c1", "stop"):
        pass


async def test_what_the_daemon_does_of_its_own_accord_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart failed: busy running a update operation, while a device of the host was looked at."""
    operations = Operations(Events())
    done: list[str] = []

    async def restart() -> None:
        async with operations.lock("c1", "restart"):
            done.append("restart")

    async with operations.lock("c1", "update", wait=True):
        asked = asyncio.create_task(restart())
        await asyncio.sleep(0)
        done.append("update")
    await asked
    assert done == ["update", "restart"]

    monkeypatch.setattr("wardian.core.operations.OWN_ACCORD_S", 0.01)
    async with operations.lock("c1", "update", wait=True):
        with pytest.raises(Busy, match="update"):
            await restart()


async def test_the_log_tells_what_was_done_to_what_and_how_it_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    operations = Operations(Events())
    caplog.set_level("INFO")

    async def work(operation: Operation) -> None:
        return

    async def failing(operation: Operation) -> None:
        raise NotFound('image "x" not found')

    about = {"containers": ["/1.0/containers/c1"], "instances": ["/1.0/instances/c1"]}
    for one in (work, failing):
        await operations.wait(operations.start("Creating container", one, resources=about).id)
    assert caplog.messages == [
        "Creating container /1.0/containers/c1: success",
        'Creating container /1.0/containers/c1: image "x" not found',
    ]
