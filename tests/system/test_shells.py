"""Completion in the shells themselves: keys are typed into real ones."""

import os
import pty
import re
import select
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.system.harness import CLIENT_WITH_SITE, PATIENCE, PYTHON, Daemon

PATIENCE_S = 30 * PATIENCE
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r|\x07")


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.execvpe(argv[0], list(argv), dict(environment))
        self._said = b""

    def type(self, keys: str) -> None:
        """Press keys; what was said before is forgotten."""
        self._said = b""
        os.write(self._fd, keys.encode())

    def wait(self, *texts: str) -> None:
        """Wait until it has shown all of these since keys were pressed."""
        while not all(text.encode() in ESCAPES.sub(b"", self._said) for text in texts):
            ready, _, _ = select.select([self._fd], [], [], PATIENCE_S)
            assert ready, f"{texts} not in {self._said!r}"
            self._said += os.read(self._fd, 65536)

    def close(self) -> None:
        """Hang up."""
        os.close(self._fd)
        os.waitpid(self._pid, 0)


@pytest.fixture
def environment(daemon: Daemon, tmp_path: Path) -> dict[str, str]:
    """With `lxc` in the path, and the scripts where quickstart puts them."""
    program = tmp_path / "bin/lxc"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {PYTHON} -I -S -c "{CLIENT_WITH_SITE}" "$@"\n')
    program.chmod(0o755)
    for shell, name in (("bash", "lxc"), ("zsh", "_lxc"), ("fish", "fish/completions/lxc.fish")):
        script = tmp_path / "scripts" / name
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(daemon.lxc("completion", shell))
    return {
        **daemon.environment,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "scripts"),
        "TERM": "dumb",
    }


START = {
    "bash": (
        ["bash", "--noprofile", "--norc", "-i"],
        "PS1='> '; . ~/scripts/lxc; bind 'set enable-bracketed-paste off'\n",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        "PS1='> '; fpath=(~/scripts $fpath); autoload -Uz compinit; compinit -u -D\n",
    ),
}


@pytest.fixture(params=START)
def shell(request: pytest.FixtureRequest, environment: dict[str, str]) -> Iterator[Terminal]:
    """An interactive shell with completion set up."""
    argv, set_up = START[request.param]
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed: ./run-tests installs it")
    terminal = Terminal(argv, environment)
    terminal.type(f"{set_up}echo re''ady\n")
    terminal.wait("ready")
    yield terminal
    terminal.close()


def test_commands_names_and_remotes_are_completed(shell: Terminal, container: str) -> None:
    shell.type("lxc st\t\t")
    shell.wait("start", "stop", "storage")
    shell.type("\x15lxc star\t")
    shell.wait("lxc start ")
    shell.type(f"{container[:-2]}\t")
    shell.wait(f"{container} ")
    shell.type(f"\x15lxc config set {container} limits.cpu.al\t")
    shell.wait("limits.cpu.allowance ")
    shell.type("\x15lxc launch debi\tbookw\t")
    shell.wait("debian:bookworm ")
    shell.type(f"\x15lxc config set {container} limits.memory.enf\t")
    shell.wait("limits.memory.enforce")
    shell.type("ha\t")
    shell.wait("hard ")
    shell.type("\x15lxc network create br1 ipv6.addr\t")
    shell.wait("ipv6.address=")
    shell.type("n\t")
    shell.wait("none ")


def test_fish_completes_them_too(environment: dict[str, str], container: str) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed: ./run-tests installs it")

    def completed(line: str) -> list[str]:
        argv = ["fish", "--command", f"complete -C '{line}'"]
        found = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
        assert found.stderr == ""
        return [word.split("\t")[0] for word in found.stdout.splitlines()]

    assert completed("lxc st") == ["start", "stop", "storage"]
    assert container in completed("lxc start ")
    assert completed(f"lxc config set {container} limits.cpu.al") == ["limits.cpu.allowance"]
    assert completed("lxc launch debian:bookw") == ["debian:bookworm"]
    assert completed(f"lxc config set {container} limits.memory.enforce ") == ["hard", "soft"]
