"""The words of lxd-setup-lvm-storage; what it does is in tests/system/test_attached_pools.py."""

import pytest

from wardian.errors import InvalidInput
from wardian.tools import setup_lvm


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--size 100MB", "1GB at least"),
        ("--size much", "much"),
        ("--size 5GB --device /dev/sdb", "does not go with --device"),
        ("--destroy --size 5GB", "finds out itself"),
        ("--vg-name a/b", "name in LVM"),
        ("--vg-name=--x", "name in LVM"),
        ("--thinpool-name .;x", "name in LVM"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_done(words: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        setup_lvm.main(words.split())
