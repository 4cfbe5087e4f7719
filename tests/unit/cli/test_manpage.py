"""Manual pages are made from the table of commands."""

import shutil
import subprocess
from pathlib import Path

import pytest

from wardian.cli import commands, manpage
from wardian.cli.session import Session
from wardian.client.config import Config


def test_there_is_a_page_for_each_command(tmp_path: Path) -> None:
    assert manpage.run(Session(Config({})), None, [str(tmp_path / "man")]) == 0  # type: ignore[arg-type]
    names = {f"lxc.{name}.1" for name in commands.names()} | {"lxc.1"}
    assert {path.name for path in (tmp_path / "man").iterdir()} == names
    text = (tmp_path / "man/lxc.exec.1").read_text()
    assert "\n.SH OPTIONS\n" in text and "\\-\\-env TEXT" in text and "lxc exec c1 bash" in text


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_formatter_has_nothing_to_say() -> None:
    pages = manpage.overview() + "".join(map(manpage.page, commands.table()))
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8"], input=pages.encode(), capture_output=True, check=True
    )
    assert done.stderr == b""
