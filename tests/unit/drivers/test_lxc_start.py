"""A start that liblxc never ends: given up, with nothing left of it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes import make_host
from wardian.drivers.runtime import lxc
from wardian.errors import HostFailed
from wardian.linux import process
from wardian.model.idmap import IdMap
from wardian.ports.runtime import StartPlan


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[lxc.Lxc]:
    paths = make_host(tmp_path).paths
    paths.containers.mkdir(parents=True, exist_ok=True)
    (paths.security / "apparmor").mkdir(parents=True, exist_ok=True)
    made = lxc.Lxc(paths, "5.0")
    made.open()
    yield made
    made.close()


async def test_a_start_without_end_is_given_up(
    runtime: lxc.Lxc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin/lxc-start"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec sleep infinity\n")
    program.chmod(0o755)
    monkeypatch.setitem(process.ENVIRONMENT, "PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(lxc, "STARTS_WITHIN_S", 0.0)
    plan = StartPlan("c1", "x86_64", tmp_path / "rootfs", IdMap())
    with pytest.raises(HostFailed, match='cannot start container "c1": it was not set up within'):
        await runtime.start(plan)


async def test_its_monitor_goes_with_it(runtime: lxc.Lxc) -> None:
    folder = runtime._pid_file("c1").parent
    folder.mkdir()
    title = f"[lxc monitor] {folder.parent} c1"
    pipe = asyncio.subprocess.PIPE
    monitor = await asyncio.create_subprocess_exec(title, executable="/bin/cat", stdin=pipe)
    (folder / "monitor.pid").write_text(str(monitor.pid))
    runtime._give_up("c1")
    assert await monitor.wait() == -signal.SIGKILL
    runtime._give_up("c1")  # harmless where there is none
