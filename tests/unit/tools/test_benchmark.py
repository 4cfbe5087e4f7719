"""The words of lxd-benchmark and its batches; with containers: tests/system/test_tools.py."""

from pathlib import Path

import pytest

from wardian.errors import WardianError
from wardian.tools import benchmark


def nothing(*_: object) -> None:
    """Work that is quickly done."""


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (3, [3]), (7, [3, 3, 1])])
def test_batches_are_as_large_as_there_are_workers(count: int, sizes: list[int]) -> None:
    job = benchmark.Job([str(number) for number in range(count)], nothing, 3)
    assert [len(batch) for batch in job.batches()] == sizes


@pytest.mark.parametrize(
    "words",
    [
        "",
        "sleep",
        "launch --count 0",
        "launch --count many",
        "launch --parallel 0",
        "stop --parallel=-2",
        "launch --start=perhaps",
        "launch --freeze --start=false",
        "stop --image bb",
    ],
)
def test_wrong_words_are_refused_before_anything_is_asked(words: str) -> None:
    with pytest.raises(WardianError):
        benchmark.main(words.split())


def test_a_report_has_its_head_once(tmp_path: Path) -> None:
    for label in ("one", 'two, "quoted"'):
        benchmark.Report(str(tmp_path / "csv"), label).add(1.5, 0.25, success=True)
    assert (tmp_path / "csv").read_text() == (
        "timeStamp,elapsed,label,responseCode,success\n"
        "1500,250,one,,true\n"
        '1500,250,"two, ""quoted""",,true\n'
    )
