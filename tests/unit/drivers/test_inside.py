"""Of files that are written in containers: what happens once they are there."""

import os
import threading
from pathlib import Path

import pytest

from wardian.drivers.files import inside
from wardian.linux import syscalls


def test_a_large_file_is_on_its_way_to_the_disk_once_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, asked = threading.Event(), []

    def begin(fd: int) -> None:
        asked.append(os.fstat(fd).st_size)
        syscalls_begin(fd)
        begun.set()

    syscalls_begin = syscalls.begin_writeback
    monkeypatch.setattr(syscalls, "begin_writeback", begin)
    for size in (0, 1, inside.WRITTEN_OUT_BYTES - 1, inside.WRITTEN_OUT_BYTES):
        fd = os.open(tmp_path / str(size), os.O_WRONLY | os.O_CREAT)
        os.write(fd, bytes(size))
        inside._close_written(fd)
    assert begun.wait(10)
    assert asked == [inside.WRITTEN_OUT_BYTES]


def test_what_cannot_be_written_out_is_closed_all_the_same() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    inside._write_out(writing)
    with pytest.raises(OSError):
        os.fstat(writing)
