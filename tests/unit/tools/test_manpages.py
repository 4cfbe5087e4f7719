"""Manual pages of the programs beside lxc."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_program_has_a_page_that_the_formatter_takes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "packaging/manpages.py", tmp_path], check=True)
    programs = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"])
    assert {path.stem for path in tmp_path.iterdir()} == programs - {"lxc"}
    lxd = (tmp_path / "lxd.1").read_text()
    assert "lxd waitready \\-\\-timeout 30" in lxd and ".SH IMAGE\\-SERVER" in lxd
    for path in tmp_path.iterdir():
        assert path.read_text().startswith(f".TH {path.stem.upper()} 1 ")
        if shutil.which("groff"):
            argv = ["groff", "-man", "-ww", "-z", str(path)]
            done = subprocess.run(argv, capture_output=True, text=True, check=True)
            assert done.stderr == "", done.stderr
