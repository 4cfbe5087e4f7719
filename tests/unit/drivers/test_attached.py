"""Volumes with a file system of their own: names, links, and programs that are not stopped halfway."""

import asyncio
import os
from pathlib import Path

import pytest

from wardian.drivers.storage import attached
from wardian.ports.storage import Volume


@pytest.mark.parametrize("name", ["c1", "f" * 64, "c1/snap 0_cdata", "c1/ünï", "data/pvmove"])
def test_the_name_of_a_file_system_is_safe_and_says_what_it_is_for(name: str) -> None:
    made = attached.new_backing(Volume("container", name), ".ext4")
    assert attached.OURS.fullmatch(made) and made.endswith(".ext4")
    assert len(made) < 80 and "_" not in made and name[:2] in made
    assert made != attached.new_backing(Volume("container", name), ".ext4")


def test_only_links_to_file_systems_of_ours_count(tmp_path: Path) -> None:
    assert attached.backing_of(tmp_path) == ""
    ours = "wd-0123456789abcdef-c1.xfs"
    for target, found in (("tank/data", ""), (f"/dev/vg/{ours}", ours), (f"{ours}/../x", "")):
        (tmp_path / attached.BACKING).unlink(missing_ok=True)
        (tmp_path / attached.BACKING).symlink_to(target)
        assert attached.backing_of(tmp_path) == found


async def test_a_cancelled_caller_waits_for_the_end_of_the_program(tmp_path: Path) -> None:
    gate, mark = tmp_path / "gate", tmp_path / "mark"
    os.mkfifo(gate)
    begun = asyncio.create_task(attached.to_the_end(["sh", "-c", f"cat {gate} >{mark}"]))
    writer = await asyncio.to_thread(open, gate, "w")
    begun.cancel()
    await asyncio.sleep(0)
    assert not begun.done()
    with writer:
        writer.write("whole")
    with pytest.raises(asyncio.CancelledError):
        await begun
    assert mark.read_text() == "whole"
