"""Id maps: no id twice, whatever is asked for."""

import json
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wardian.errors import InvalidInput
from wardian.model import idmap
from wardian.model.idmap import IdMap, IdRange

DEFAULT = IdMap.contiguous(1_000_000, 1_000_000)
HOST = "0 0 4294967295\n"


def spans(map_: IdMap) -> list[tuple[str, int, int, int]]:
    return [(r.kind, r.container_id, r.host_id, r.count) for r in map_.ranges]


# --- which map a container gets ------------------------------------------------------------------


def test_a_privileged_container_has_no_map() -> None:
    assert idmap.plan({"security.privileged": "true"}, None, []) == IdMap()


def test_containers_share_the_default_map() -> None:
    assert idmap.plan({}, DEFAULT, []) == DEFAULT


def test_without_sub_ids_only_privileged_containers_run() -> None:
    with pytest.raises(
        InvalidInput, match=r"^LXD doesn't have a uid/gid allocation\. In this mode, only privileged"
    ):
        idmap.plan({}, None, [])


def test_isolated_containers_get_the_first_free_range_after_the_shared_ids() -> None:
    config = {"security.idmap.isolated": "true"}
    first = idmap.plan(config, DEFAULT, [])
    second = idmap.plan(config, DEFAULT, [first])
    assert first == IdMap.contiguous(1_065_536, 65_536)
    assert second == IdMap.contiguous(1_131_072, 65_536)
    assert idmap.plan(config, DEFAULT, [second]) == first


def test_a_base_that_is_set_does_not_make_maps_overlap() -> None:
    config = {
        "security.idmap.isolated": "true",
        "security.idmap.base": "300000",
        "security.idmap.size": "10",
    }
    others = [IdMap.contiguous(290_000, 10_000), IdMap.contiguous(300_010, 5)]
    assert idmap.plan(config, DEFAULT, others) == IdMap.contiguous(300_000, 10)
    with pytest.raises(InvalidInput, match="of the host ids 300000-300009 another isolated container has"):
        idmap.plan(config, DEFAULT, [IdMap.contiguous(300_009, 5)])


def test_an_isolated_map_may_have_its_own_size_and_base() -> None:
    config = {"security.idmap.isolated": "true", "security.idmap.size": "1000"}
    assert idmap.plan(config, DEFAULT, []) == IdMap.contiguous(1_065_536, 1000)
    assert idmap.plan({**config, "security.idmap.base": "300000"}, DEFAULT, []) == IdMap.contiguous(
        300_000, 1000
    )


def test_an_isolated_map_stays_within_users_and_groups() -> None:
    uneven = IdMap((IdRange("uid", 0, 100_000, 200_000), IdRange("gid", 0, 150_000, 200_000)))
    assert idmap.plan({"security.idmap.isolated": "1"}, uneven, []) == IdMap.contiguous(215_536, 65_536)


def test_a_full_range_is_said_to_be_full() -> None:
    with pytest.raises(InvalidInput, match=r"^Not enough uid/gid available for the container\.$"):
        idmap.plan({"security.idmap.isolated": "true"}, IdMap.contiguous(100_000, 65_536), [])


@given(st.lists(st.integers(1, 200_000), max_size=12), st.randoms())
def test_isolated_maps_never_overlap(sizes: list[int], rng: random.Random) -> None:
    taken: list[IdMap] = []
    for size in sizes:
        config = {"security.idmap.isolated": "true", "security.idmap.size": str(size)}
        try:
            map_ = idmap.plan(config, DEFAULT, taken)
        except InvalidInput:
            continue
        for other in taken:
            assert not _overlap(map_, other)
        assert map_.ranges[0].host_id >= 1_065_536
        assert map_.ranges[0].host_id + size <= 2_000_000
        taken.append(map_)
        rng.shuffle(taken)
        del taken[3:]


def _overlap(one: IdMap, other: IdMap) -> bool:
    return any(
        a.kind == b.kind and a.host_id < b.host_id + b.count and b.host_id < a.host_id + a.count
        for a in one.ranges
        for b in other.ranges
    )


# --- raw.idmap -----------------------------------------------------------------------------------


def test_raw_idmap_punches_a_hole() -> None:
    punched = idmap.plan({"raw.idmap": "uid 1000 500"}, IdMap.contiguous(100_000, 65_536), [])
    assert spans(punched) == [
        ("uid", 0, 100_000, 500),
        ("uid", 500, 1000, 1),
        ("uid", 501, 100_501, 65_035),
        ("gid", 0, 100_000, 65_536),
    ]


def test_raw_idmap_may_cover_the_ends_and_lie_outside() -> None:
    base = IdMap.contiguous(100_000, 100)
    punched = idmap.plan({"raw.idmap": "both 10-19 0-9\nuid 30 99\ngid 500 5000"}, base, [])
    assert spans(punched) == [
        ("uid", 0, 10, 10),
        ("uid", 10, 100_010, 89),
        ("uid", 99, 30, 1),
        ("gid", 0, 10, 10),
        ("gid", 10, 100_010, 90),
        ("gid", 5000, 500, 1),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("both 1000", "invalid raw.idmap line both 1000"),
        ("both 1 2 3", "invalid raw.idmap line both 1 2 3"),
        ("all 1 2", "invalid raw.idmap type all 1 2"),
        ("both a 2", "invalid raw.idmap range a"),
        ("both 5-1 2", "invalid raw.idmap range 5-1"),
        ("both 4294967295 2", "invalid raw.idmap range 4294967295"),
        ("both 1-2 5", "idmap ranges of different sizes both 1-2 5"),
        ("uid 1000 5\nuid 1000 6", "uid 1000 appears twice among the host ids of an id map"),
        ("uid 1000 5\nuid 1001 5", "uid 5 appears twice among the container ids of an id map"),
    ],
)
def test_a_wrong_raw_idmap_is_explained(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        idmap.parse_raw(text)
    assert str(caught.value) == message


def test_raw_idmap_gives_out_no_id_that_the_map_has() -> None:
    said = r"^raw\.idmap: Host id is in the range of subids: uid 1000005; choose one outside 1000000-[0-9]+$"
    with pytest.raises(InvalidInput, match=said):
        idmap.plan({"raw.idmap": "uid 1000005 7"}, DEFAULT, [])


CUSTOM = st.builds(
    IdRange, st.sampled_from(["uid", "gid"]), st.integers(0, 1200), st.integers(0, 5000), st.integers(1, 300)
)


@given(st.lists(CUSTOM, max_size=5))
def test_punching_keeps_every_id_and_maps_none_twice(custom: list[IdRange]) -> None:
    base = IdMap.contiguous(100_000, 1000)
    try:
        punched = base.punched(custom)
    except InvalidInput:
        assume(False)
    for kind in ("uid", "gid"):
        same = [r for r in punched.ranges if r.kind == kind]
        for side in ("container_id", "host_id"):
            ids = [getattr(r, side) + n for r in same for n in range(r.count)]
            assert len(ids) == len(set(ids))
    for entry in custom:
        assert punched.host_id(entry.kind, entry.container_id) == entry.host_id
    for number in range(1000):
        assert punched.host_id("uid", number) is not None
        if not any(r.kind == "uid" and r.container_id <= number < r.container_id + r.count for r in custom):
            assert punched.host_id("uid", number) == 100_000 + number


# --- JSON ----------------------------------------------------------------------------------------


@given(st.lists(CUSTOM, max_size=5))
def test_a_map_survives_its_json(custom: list[IdRange]) -> None:
    try:
        map_ = IdMap.contiguous(100_000, 1000).punched(custom)
    except InvalidInput:
        assume(False)
    assert idmap.from_json(json.dumps(map_.to_json_objects())) == map_


def test_the_json_is_the_documented_one() -> None:
    objects = IdMap.contiguous(100_000, 65_536).to_json_objects()
    assert objects[0] == {"Isuid": True, "Isgid": False, "Hostid": 100_000, "Nsid": 0, "Maprange": 65_536}
    both = '[{"Isuid":true,"Isgid":true,"Hostid":100000,"Nsid":0,"Maprange":65536}]'
    assert idmap.from_json(both) == IdMap.contiguous(100_000, 65_536)
    assert idmap.from_json("[]") == IdMap()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        "[1]",
        "[{}]",
        '[{"Isuid":true,"Isgid":false,"Hostid":"1","Nsid":0,"Maprange":1}]',
        '[{"Isuid":true,"Isgid":false,"Hostid":-1,"Nsid":0,"Maprange":1}]',
        '[{"Isuid":true,"Isgid":false,"Hostid":1,"Nsid":0,"Maprange":0}]',
        '[{"Isuid":true,"Isgid":false,"Hostid":1,"Nsid":0,"Maprange":99999999999}]',
        '[{"Isuid":true,"Isgid":false,"Hostid":1e3,"Nsid":0,"Maprange":1}]',
        '[{"Isuid":true,"Isgid":false,"Hostid":true,"Nsid":0,"Maprange":1}]',
        "[" * 100_000,
    ],
)
def test_other_texts_are_no_map(text: str) -> None:
    with pytest.raises(InvalidInput):
        idmap.from_json(text)


# --- the host's range ----------------------------------------------------------------------------


def default(
    subuid: str | None, subgid: str | None, uid_map: str = HOST, gid_map: str = HOST
) -> IdMap | None:
    return idmap.default_map(
        subuid=subuid, subgid=subgid, uid_map=uid_map, gid_map=gid_map, owners=("root", "0")
    )


@pytest.mark.parametrize(
    "text",
    [
        "root:100000:65536\n",
        "lxd:1:65536\nroot:100000:65536",
        "ROOT:100000:65536 # ours",
        "0:100000:65536",
        "root:5:10\nbroken\nroot:x:1\nroot:100000:65536",
        "#root:1:65536\nroot:100000:65536\nroot:900000:65536",
    ],
)
def test_the_first_large_enough_entry_of_root_counts(text: str) -> None:
    assert default(text, text) == IdMap.contiguous(100_000, 65_536)


def test_users_and_groups_may_have_different_ranges() -> None:
    map_ = default("root:100000:65536", "root:500000:70000")
    assert map_ is not None
    assert spans(map_) == [("uid", 0, 100_000, 65_536), ("gid", 0, 500_000, 70_000)]


def test_without_an_entry_there_is_no_map() -> None:
    assert default("lxd:100000:65536", "root:100000:65536") is None
    assert default("root:100000:65535", "root:100000:65535") is None


def test_without_the_tools_a_fixed_range_is_used() -> None:
    assert default(None, "root:100000:65536") == IdMap.contiguous(1_000_000, 1_000_000_000)


def test_a_nested_daemon_uses_what_it_was_given() -> None:
    nested = "0 1000000 500000\n"
    assert default(None, None, nested, nested) == IdMap.contiguous(100_000, 400_000)
    assert default(None, None, "0 1000000 65536\n", "0 1000000 65536\n") is None


def test_a_range_outside_of_our_own_namespace_is_not_usable() -> None:
    nested = "0 1000000 65536\n"
    assert default("root:100000:65536", "root:100000:65536", nested, nested) is None


def test_an_isolated_map_stays_where_it_is_while_that_is_free() -> None:
    default = idmap.IdMap.contiguous(1000000, 65536 * 10)
    config = {"security.idmap.isolated": "true", "volatile.idmap.base": str(1000000 + 65536 * 3)}
    kept = idmap.plan(config, default, [])
    assert kept.host_id("uid", 0) == 1000000 + 65536 * 3
    moved = idmap.plan(config, default, [kept])
    assert moved.host_id("uid", 0) == 1000000 + 65536
    outside = config | {"volatile.idmap.base": str(1000000 + 65536 * 10)}
    assert idmap.plan(outside, default, []).host_id("uid", 0) == 1000000 + 65536


def test_a_map_with_holes_is_still_the_shared_one() -> None:
    default = idmap.IdMap.contiguous(1000000, 65536 * 10)
    assert default.punched(idmap.parse_raw("both 1000 1000")).is_made_from(default)
    assert not idmap.IdMap.contiguous(1065536, 65536).is_made_from(default)
    assert not idmap.IdMap().is_made_from(default)


def test_host_ids_that_nobody_allotted_are_refused_with_the_line_to_add() -> None:
    wanted = idmap.IdMap.contiguous(100000, 65536).punched(idmap.parse_raw("both 1000 1000"))
    files = {"subuid": "root:100000:65536\nroot:1000:1\n", "subgid": "root:100000:65536\n"}
    with pytest.raises(InvalidInput, match='add the line "root:1000:1" to /etc/subgid'):
        idmap.check_allotted(wanted, **files, owners=("root", "0"))
    files["subgid"] += "0:1000:5  # by number\n"
    idmap.check_allotted(wanted, **files, owners=("root", "0"))
