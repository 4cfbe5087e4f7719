"""Which signal asks an init to halt."""

import signal

import pytest

from wardian.drivers.runtime import halting

PWR, SYSTEMD = 1 << (signal.SIGPWR - 1), 1 << (halting.SYSTEMD - 1)


@pytest.mark.parametrize(
    ("config", "blocked", "expected"),
    [
        ("", 0, signal.SIGPWR),
        ("", SYSTEMD, halting.SYSTEMD),
        ("lxc.signal.halt = SIGUSR1\n", SYSTEMD, signal.SIGUSR1),
        ("lxc.signal.halt=SIGUSR1\nlxc.signal.halt = 15\n", 0, 15),
        ("lxc.signal.halt = SIGRTMIN+3", 0, halting.SYSTEMD),
        ("lxc.signal.halt = nonsense", 0, signal.SIGPWR),
        ("lxc.signal.reboot = SIGINT", 0, signal.SIGPWR),
    ],
)
def test_the_configured_signal_comes_first_then_what_systemd_waits_for(
    config: str, blocked: int, expected: int
) -> None:
    assert halting.choose(config, blocked, 0) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("USR2", signal.SIGUSR2),
        ("SIGRTMAX-1", signal.SIGRTMAX - 1),
        ("SIGRTMIN+99", None),
        ("0", None),
        ("99999", None),
        ("SIGNAL", None),
    ],
)
def test_signals_have_names_and_numbers(text: str, expected: int | None) -> None:
    assert halting.number(text) == expected


def test_an_init_hears_what_it_handles_or_holds_back() -> None:
    assert halting.is_heard(signal.SIGPWR, PWR, 0) and halting.is_heard(signal.SIGPWR, 0, PWR)
    assert not halting.is_heard(signal.SIGPWR, SYSTEMD, SYSTEMD)
