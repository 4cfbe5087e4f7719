"""The programs beside daemon and client, as somebody runs them."""

import os
import stat
import subprocess
from pathlib import Path

from tests.system.harness import PYTHON, ROOT
from tests.system.test_owners import ACL, CAPABILITY, PING


def tool(name: str, *words: str | Path, status: int = 0) -> tuple[str, str]:
    """(output, errors) of one of the programs."""
    code = f"from wardian.tools.{name} import run; run()"
    argv = [PYTHON, "-c", code, *map(str, words)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT, timeout=120)
    assert done.returncode == status, f"{name} {words}: {done.stdout}{done.stderr}"
    return done.stdout, done.stderr


def owner(path: Path) -> tuple[int, int, int]:
    """(uid, gid, mode) of a file itself."""
    found = path.lstat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


def test_a_tree_is_shifted_into_a_map_and_back(tmp_path: Path) -> None:
    top, outside = tmp_path / "top", tmp_path / "outside"
    (top / "sub").mkdir(parents=True)
    outside.touch()
    suid, ping, far, hard = (top / name for name in ("suid", "ping", "sub/far", "hard"))
    for file in (suid, ping, far):
        file.touch()
    os.chown(suid, 5, 6)
    suid.chmod(0o4755)
    hard.hardlink_to(suid)
    os.chown(far, 70000, 0)
    (top / "link").symlink_to(outside)
    os.setxattr(ping, CAPABILITY, PING)
    os.setxattr(far, "system.posix_acl_access", ACL)

    ranges = ("b:0:1000000:65536", "g:6:600:1")
    assert tool("fuidshift", top, "-t", *ranges)[0].count("I would shift") == 6, "hard links once"
    assert owner(suid) == (5, 6, 0o4755)
    tool("fuidshift", top, *ranges)
    assert owner(suid) == owner(hard) == (1000005, 600, 0o4755)
    assert owner(far)[:2] == (70000, 1000000), "an id outside of the map stays"
    assert owner(top / "link")[:2] == (1000000, 1000000)
    assert owner(outside)[:2] == (0, 0), "links are not followed"
    assert os.getxattr(ping, CAPABILITY)[-4:] == (1000000).to_bytes(4, "little")
    assert (1001000).to_bytes(4, "little") in os.getxattr(far, "system.posix_acl_access")
    tool("fuidshift", "-r", top, *ranges)
    assert owner(suid) == (5, 6, 0o4755)
    assert owner(far)[:2] == (70000, 0)
    assert os.getxattr(ping, CAPABILITY) == PING
    assert os.getxattr(far, "system.posix_acl_access") == ACL


def test_what_is_mounted_in_a_tree_stays(tmp_path: Path) -> None:
    top, other = tmp_path / "top", tmp_path / "other"
    other.mkdir()
    (top / "mnt").mkdir(parents=True)
    script = 'mount --bind "$1/other" "$1/top/mnt" && shift && exec "$@"'
    code = "from wardian.tools.fuidshift import run; run()"
    argv = ["unshare", "-m", "sh", "-ec", script, "sh", str(tmp_path), PYTHON, "-c", code, str(top)]
    done = subprocess.run([*argv, "b:0:1000000:9"], check=True, cwd=ROOT, capture_output=True, text=True)
    assert f'"{top}/mnt" is another file system' in done.stderr
    assert owner(top)[0] == 1000000
    assert owner(other)[0] == 0
