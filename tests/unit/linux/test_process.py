import subprocess
import sys

from wardian.linux import tls

AS_INSTALLED = f"""
import sys
sys.path[0:0] = {[path for path in sys.path if path]!r}
import subprocess
from wardian.linux import process
sys.exit(subprocess.run(process.python({tls.__file__!r})).returncode)
"""
"""quickstart's `lxd` is the system's interpreter, which knows no packages, and a path."""


def test_a_program_of_ours_finds_its_modules_however_we_were_started() -> None:
    interpreter = getattr(sys, "_base_executable", sys.executable)
    done = subprocess.run([interpreter, "-I", "-S", "-c", AS_INSTALLED], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
