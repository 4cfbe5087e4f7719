"""AppArmor profiles: golden texts, patterns, and what the parser says of them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from wardian.drivers.runtime import apparmor
from wardian.errors import HostFailed, InvalidInput
from wardian.model.confinement import Confinement, parse_raw_apparmor

GOLDEN = Path(__file__).parent / "golden"
KINDS = {
    "unprivileged": Confinement(),
    "nesting": Confinement(nesting=True),
    "privileged": Confinement(privileged=True),
    "privileged-nesting-raw": Confinement(
        privileged=True, nesting=True, apparmor="deny /foo/** w,\n/bar/{a,b} r,\n"
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_profiles_are_as_they_were(kind: str) -> None:
    """After a wanted change: write the new text into the golden file, and read the difference."""
    text = apparmor.profile_text(apparmor.profile_name("c1", "/var/lib/lxd"), KINDS[kind])
    assert text == (GOLDEN / f"apparmor-{kind}.txt").read_text()


@pytest.mark.skipif(not shutil.which("apparmor_parser"), reason="the package apparmor is not installed")
@pytest.mark.parametrize("kind", KINDS)
def test_the_parser_takes_them(kind: str) -> None:
    text = apparmor.profile_text(apparmor.profile_name("c1", "/a b"), KINDS[kind])
    done = subprocess.run(["apparmor_parser", "-QK"], input=text.encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def matches(pattern: str, path: str) -> bool:
    """Whether a pattern made by `_all_but` matches, by the rules of apparmor.d(5)."""
    body = pattern.removesuffix("{,/**}")
    text = re.escape(body).replace(re.escape("[^"), "[^").replace(re.escape("/]"), "/]")
    text = re.sub(r"\\\?", "[^/]", text).replace(r"\*", "[^/]*")
    return re.fullmatch(f"{text}(/.+)?", path) is not None


def test_all_but_the_kept_parts_are_matched() -> None:
    patterns = apparmor._all_but("/s/", ("kernel/hostname", "kernel/msg*", "net/**"))
    kept = ("/s/kernel/hostname", "/s/kernel/msgmax", "/s/net/a", "/s/net/a/b", "/s/kernel", "/s/net")
    denied = (
        "/s/k",
        "/s/kern",
        "/s/kernel2",
        "/s/kernel2/x",
        "/s/vm/swappiness",
        "/s/ne",
        "/s/nett/x",
        "/s/kernel/host",
        "/s/kernel/hostname2",
        "/s/kernel/core_pattern",
        "/s/kernel/ms",
    )
    for path in kept:
        assert not any(matches(pattern, path) for pattern in patterns), path
    for path in denied:
        assert any(matches(pattern, path) for pattern in patterns), path


@pytest.mark.parametrize("text", ["}\nprofile x {", "}", "{", "a\rb", "a\x0bb", "# }"])
def test_raw_lines_cannot_end_the_profile(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_raw_apparmor(text)


def test_odd_folders_are_hashed() -> None:
    for folder in ("/a b", '/"', "/x" * 200, "/a[b]", "/a*"):
        assert re.fullmatch(r"lxd-c1_<[0-9a-f]{64}>", apparmor.profile_name("c1", folder))
    assert apparmor.profile_name("c1", "/var/lib/lxd") == "lxd-c1_</var/lib/lxd>"


async def test_a_missing_file_system_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apparmor, "is_usable", lambda: True)
    monkeypatch.setattr(apparmor, "SECURITY", tmp_path)
    with pytest.raises(HostFailed, match=f"securityfs is not mounted; type: mount .* {tmp_path}"):
        await apparmor.AppArmor(tmp_path, tmp_path).load("c1", Confinement())
