"""Events: types, order, and what becomes of a listener that does not listen."""

from wardian.core import events


async def test_a_listener_hears_its_types_in_order() -> None:
    source = events.Events()
    listener = source.subscribe(["lifecycle"])
    source.lifecycle("a", "/1")
    source.send("logging", {})
    source.lifecycle("b", "/2")
    source.unsubscribe(listener)
    assert [event["metadata"]["action"] async for event in listener] == ["a", "b"]


async def test_a_listener_that_falls_behind_is_dropped() -> None:
    source = events.Events()
    listener = source.subscribe()
    for _ in range(events.QUEUE_LENGTH + 10):
        source.lifecycle("a", "/1")
    assert len([event async for event in listener]) == events.QUEUE_LENGTH
