"""Programs that are run from sealed memory."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from wardian.linux.sealed import SealedProgram


def said(path: str) -> str:
    return subprocess.run(["sh", "x"], executable=path, capture_output=True, text=True, check=True).stdout


def test_it_runs_and_cannot_be_changed(tmp_path: Path) -> None:
    program = tmp_path / "program"
    shutil.copy("/bin/echo", program)
    sealed = SealedProgram(str(program))
    path = sealed.path()
    assert said(path) == "x\n"
    assert sealed.path() == path
    fd = int(path.rpartition("/")[2])
    with pytest.raises(PermissionError):
        os.write(fd, b"#!")
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 0)
    sealed.close()
    assert not os.path.exists(path)


def test_it_follows_the_program(tmp_path: Path) -> None:
    program = tmp_path / "program"
    shutil.copy("/bin/echo", program)
    sealed = SealedProgram(str(program))
    sealed.path()
    shutil.copy("/bin/false", program)
    with pytest.raises(subprocess.CalledProcessError):
        said(sealed.path())
    program.unlink()
    with pytest.raises(FileNotFoundError):
        sealed.path()
    sealed.close()
