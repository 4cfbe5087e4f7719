import pytest

from wardian.core import progress
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.core.progress import Meter, report

MB = 1024 * 1024


@pytest.mark.parametrize(
    ("position", "total", "elapsed_s", "text"),
    [
        (0, 100 * MB, 0.0, "0% (0B/s)"),
        (10 * MB, 100 * MB, 1.0, "10% (10.00MB/s)"),
        (40 * MB, 100 * MB, 4.0, "40% (10.00MB/s, 6s left)"),
        (100 * MB, 100 * MB, 10.0, "100% (10.00MB/s)"),
        (0, 100 * MB, 10.0, "0% (0B/s)"),
        (10 * MB, None, 4.0, "10.00MB (2.50MB/s)"),
    ],
)
def test_a_report_has_percentage_speed_and_time_left(
    position: int, total: int | None, elapsed_s: float, text: str
) -> None:
    assert report(position, total, elapsed_s)[0] == text


def test_what_follows_from_a_guess_says_so_and_is_never_complete() -> None:
    assert report(40 * MB, 100 * MB, 4.0, is_guess=True)[0] == "~40% (10.00MB/s, ~6s left)"
    text, details = report(101 * MB, 100 * MB, 10.0, is_guess=True)
    assert text == "~99% (10.10MB/s)"
    assert details["percent"] == "99" and details["estimate"] == "true"


def test_programs_get_numbers() -> None:
    assert report(MB, 4 * MB, 2.0)[1] == {"processed": str(MB), "speed": str(MB // 2), "percent": "25"}
    assert "percent" not in report(MB, None, 2.0)[1]


async def test_a_meter_tells_the_last_byte_at_once_and_the_others_now_and_then(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PAUSE_S", 1000.0)

    async def work(operation: Operation) -> None:
        meter = Meter(operation, "download", 10)
        meter(10)
        assert operation.metadata["download_progress"].startswith("100% ")
        assert operation.metadata["progress"]["percent"] == "100"
        operation.progress("unpack", "begun")
        assert operation.metadata == {"unpack_progress": "begun"}
        meter(5)
        assert operation.metadata == {"unpack_progress": "begun"}

    operation = host.operations.start("Downloading", work)
    await operation.finished.wait()
    assert operation.err == ""
