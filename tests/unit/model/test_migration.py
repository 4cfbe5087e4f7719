"""Messages between two hosts: what is said arrives, and nothing else is taken for it."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.errors import InvalidInput
from wardian.model import migration
from wardian.model.migration import Answer, Begin, Fail, Kept, Offer

THEN = datetime(2026, 1, 1, tzinfo=UTC)


def kept(name: str, minutes: int = 0, **more: Any) -> Kept:
    return Kept(name=name, architecture="x86_64", created_at=THEN + timedelta(minutes=minutes), **more)


def offer(*snapshots: Kept, **more: Any) -> Offer:
    return Offer(**{"version": 1, "transports": ["rsync"], "snapshots": list(snapshots), **more})


@given(st.text(), st.lists(st.text()), st.dictionaries(st.text(), st.text()))
def test_what_is_said_arrives(word: str, words: list[str], table: dict[str, str]) -> None:
    for message in (
        Answer(transport=word, wanted=words, origins=table),
        Begin(volume=word, base=word),
        offer(kept("one", config=table, profiles=words)),
    ):
        assert migration.decode(migration.encode(message)) == message


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"type": "verdict" ',
        '{"type": "root"}',
        '{"type": "begin"}',
        '{"type": "begin", "volume": 1}',
        '{"type": "offer", "version": 1, "transports": "rsync"}',
        '{"type": "offer", "version": 1, "transports": [], "snapshots": [{"name": "a"}]}',
        "[" * 100_000,
        b"\xff\xfe",
        " " * (migration.CONTROL_BYTES + 1),
    ],
)
def test_nothing_else_is_taken_for_it(frame: str | bytes) -> None:
    with pytest.raises(InvalidInput) as failure:
        migration.decode(frame)
    assert "\n" not in str(failure.value) and len(str(failure.value)) < 3000


def test_the_reason_of_a_failure_is_one_printable_line() -> None:
    assert migration.reason(Fail(message="a\x1b[2J\nb" + "x" * 9000)).startswith("a?[2J b")
    assert len(migration.reason(Fail(message="x" * 9000))) <= migration.LONGEST_REASON
    assert migration.reason(Fail(message="\n")) == "no reason given"


@pytest.mark.parametrize(
    ("offered", "error"),
    [
        (offer(version=2), "version 2"),
        (offer(kept("../../etc")), "slashes"),
        (offer(kept("..")), "Invalid snapshot name"),
        (offer(kept("a\nb")), "snapshot"),
        (offer(kept("")), "snapshot"),
        (offer(kept("a"), kept("a", 1)), "two snapshots of one name"),
        (offer(kept("a", 1), kept("b", 0)), "another order"),
        (offer(*(kept(f"s{n}", n) for n in range(migration.MOST_SNAPSHOTS + 1))), "more than"),
        (offer(idmap="{}"), "id map"),
        (offer(idmap='[{"Isuid":true,"Hostid":-1,"Nsid":0,"Maprange":1}]'), "."),
        (
            offer(
                Kept(
                    name="a",
                    architecture="x86_64",
                    created_at=datetime.max.replace(tzinfo=timezone(timedelta(hours=-9))),
                )
            ),
            "no calendar",
        ),
    ],
)
def test_offers_that_must_not_be_taken(offered: Offer, error: str) -> None:
    with pytest.raises(InvalidInput, match=error):
        migration.checked(offered)


def test_times_of_an_offer_are_in_utc() -> None:
    local = kept("a").created_at.astimezone(timezone(timedelta(hours=2)))
    found = migration.checked(offer(Kept(name="a", architecture="x86_64", created_at=local)))
    assert found.snapshots[0].created_at == THEN and found.snapshots[0].created_at.tzinfo is UTC


def test_the_transport_that_the_target_likes_best_is_taken() -> None:
    assert migration.transport(["rsync", "btrfs"], ["btrfs", "rsync"]) == "btrfs"
    assert migration.transport(["btrfs", "rsync"], ["rsync"]) == "rsync"
    with pytest.raises(InvalidInput, match="the source has zfs, the target rsync"):
        migration.transport(["zfs"], ["rsync"])


def test_a_base_is_the_latest_snapshot_that_is_the_same_on_both_sides() -> None:
    offered, own = ["a", "b", "c"], {"a": "1", "b": "2", "c": "3"}
    assert migration.sequence(offered, ["c", "a"]) == ["a", "c", ""]
    assert migration.base_of("", offered, own, {"a": "1", "b": "2"}) == "b"
    assert migration.base_of("", offered, own, {"a": "1", "b": "other"}) == "a"
    assert migration.base_of("b", offered, own, own) == "a"
    assert migration.base_of("a", offered, own, own) == ""
    assert migration.base_of("", offered, dict.fromkeys(offered, ""), dict.fromkeys(offered, "")) == ""


@pytest.mark.parametrize(
    ("megabytes", "again"),
    [
        ([], True),
        ([100], True),
        ([10], False),
        ([100, 40], True),
        ([100, 60], False),
        ([500, 200, 90, 40, 18], False),
    ],
)
def test_what_runs_is_sent_again_while_it_gets_less_and_is_much(megabytes: list[int], again: bool) -> None:
    assert migration.again([size << 20 for size in megabytes]) is again


def test_operations_of_other_hosts_have_urls_of_one_form() -> None:
    migration.check_operation("https://[fd00::1]:8443/1.0/operations/0a-1b", "f")
    for url in (
        "",
        "http://h/1.0/operations/0a",
        "https://h/1.0/operations/",
        "https://h/1.0/operations/0a/../../x",
        "https://h/1.0/operations/0a?secret=1",
        "https://u@h/1.0/operations/0a",
        "https://h:99999/1.0/operations/0a",
        "https://[h/1.0/operations/0a",
        "https:///1.0/operations/0a",
        "https://h\r\nX: y/1.0/operations/0a",
        "https://h/1.0/containers/0a",
    ):
        with pytest.raises(InvalidInput, match='field "f"'):
            migration.check_operation(url, "f")


def test_secrets_and_rates_are_checked() -> None:
    assert migration.check_secrets({"control": "a", "fs": "b", "criu": "c"}, "f") == {
        "control": "a",
        "fs": "b",
    }
    for secrets in (
        None,
        {},
        {"control": "a"},
        {"control": "a", "fs": "b&x=1"},
        {"control": "é", "fs": "b"},
    ):
        with pytest.raises(InvalidInput, match='field "f"'):
            migration.check_secrets(secrets, "f")
    assert migration.parse_rate("") == 0 and migration.parse_rate("2MB") == 2 * 1024**2
    for text in ("0", "-1", "fast"):
        with pytest.raises(InvalidInput):
            migration.parse_rate(text)
