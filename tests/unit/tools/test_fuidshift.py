"""The ranges and the output of fuidshift; what it does to owners is in tests/system/test_tools.py."""

import os
from pathlib import Path

import pytest

from wardian.errors import WardianError
from wardian.model.idmap import IdRange
from wardian.tools import fuidshift


def test_a_later_range_takes_its_ids_out_of_an_earlier_one() -> None:
    assert fuidshift.map_of(["b:0:100000:65536", "u:10:1000:1"]).ranges == (
        IdRange("uid", 0, 100000, 10),
        IdRange("uid", 10, 1000, 1),
        IdRange("uid", 11, 100011, 65525),
        IdRange("gid", 0, 100000, 65536),
    )


@pytest.mark.parametrize(
    "wrong", ["", "b", "x:0:1:2", "b:0:1", "b:0:1:2:3", "b:-1:1:2", "b:0:1:0", "b:0:1:4294967295", "b:²:1:1"]
)
def test_what_is_no_range_is_named(wrong: str) -> None:
    with pytest.raises(WardianError, match=f'range "{wrong}"'):
        fuidshift.map_of([wrong])


def test_test_mode_prints_a_line_for_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'a\n\u202e"').touch()
    os.symlink("/etc/passwd", os.fsencode(tmp_path / "link") + b"\xff")
    uid, gid = os.getuid(), os.getgid()
    assert fuidshift.main(["-t", str(tmp_path), f"u:{uid}:{uid + 7}:1", f"g:{gid + 1}:0:1"]) == 0
    ids = f"to {uid + 7} -1"
    assert sorted(capsys.readouterr().out.splitlines()) == [
        f'I would shift "{tmp_path}" {ids}',
        f'I would shift "{tmp_path}/a\\n\\u202e\\"" {ids}',
        f'I would shift "{tmp_path}/link\\xff" {ids}',
    ]


def test_without_a_range_the_usage_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WardianError, match="required: RANGE"):
        fuidshift.main(["/var/tmp", "-t"])
    assert capsys.readouterr().err.startswith("usage: fuidshift")
