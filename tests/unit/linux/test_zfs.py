"""Tables of the tools of ZFS."""

import pytest

from wardian.errors import HostFailed
from wardian.linux import zfs


def test_snapshots_and_what_was_made_from_them() -> None:
    text = "tank/a@1\ttank/b\ntank/a@2\ttank/c,tank/d\ntank/a@3\t-\ntank/a@4\t\n"
    assert zfs.parse_snapshots(text) == [
        zfs.Moment("tank/a@1", ("tank/b",)),
        zfs.Moment("tank/a@2", ("tank/c", "tank/d")),
        zfs.Moment("tank/a@3", ()),
        zfs.Moment("tank/a@4", ()),
    ]


def test_a_table_has_the_columns_that_were_asked_for() -> None:
    assert zfs.parse_table("1\t2\n3\t4\n", 2) == [["1", "2"], ["3", "4"]]
    assert zfs.parse_table("", 2) == []
    with pytest.raises(HostFailed, match="1 columns"):
        zfs.parse_table("no datasets available\n", 2)
