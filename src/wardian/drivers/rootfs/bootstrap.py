"""Images from the distribution's own package archive, by mmdebstrap; no image server is needed."""

import asyncio
import re
import shutil
import time
from pathlib import Path

from wardian.errors import HostFailed, OutOfSpace
from wardian.linux import process
from wardian.model import bootstrap as offers
from wardian.model import image as image_model
from wardian.model.proxies import VARIABLES, Proxies
from wardian.ports.rootfs import ImageFiles, Progress

DEFAULT_MIRROR = "http://deb.debian.org/debian"
SOURCES = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d"))
SOURCE_URI = re.compile(r"^\s*(?:deb\s+(?:\[[^\]]*\]\s+)?|URIs:\s*)(https?://\S+/debian)/?(?:\s|$)", re.M)
PACKAGES = (
    "systemd-sysv,dbus,udev,iproute2,iputils-ping,netbase,procps,ca-certificates,less,nano,libpam-systemd"
)
EXTRA = {"bullseye": "", "*": ",systemd-resolved"}
NETWORK = "[Match]\nName=eth0\n\n[Network]\nDHCP=yes\nIPv6AcceptRA=yes\n\n[DHCPv4]\nUseDomains=yes\n"
NETWORK += "\n[IPv6AcceptRA]\nUseDomains=yes\n"
UDEV = "[Service]\nExecStart=\nExecStart=-udevadm trigger --subsystem-match=net --action=add\n"
"""networkd waits until udev has seen an interface; a container has no other devices of its own."""
MASKED = ("sys-kernel-config.mount", "sys-kernel-debug.mount", "systemd-modules-load.service")
"""What only the host's root can do, and would be told as failed."""
TEMPLATES = {
    "/etc/hostname": {"when": ["create", "copy"], "template": "hostname.tpl"},
    "/etc/hosts": {"when": ["create", "copy"], "template": "hosts.tpl"},
}
TEMPLATE_FILES = {
    "hostname.tpl": "{{ container.name }}\n",
    "hosts.tpl": (
        "127.0.0.1\tlocalhost\n127.0.1.1\t{{ container.name }}\n"
        "::1\tlocalhost ip6-localhost ip6-loopback\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
    ),
}
STEPS = re.compile(rb"^I: (.+?)\.*$")
KEPT_LINES = 20


def host_mirror(sources: tuple[Path, ...] = SOURCES) -> str:
    """The Debian mirror that this machine's own apt uses, or Debian's default."""
    files = [
        path for source in sources for path in (sorted(source.glob("*")) if source.is_dir() else [source])
    ]
    for path in files:
        if path.is_file() and (match := SOURCE_URI.search(path.read_text(errors="replace"))):
            return match[1]
    return DEFAULT_MIRROR


async def host_environment(proxies: Proxies) -> dict[str, str]:
    """Our environment with these proxies, or that of this machine's own apt."""
    environment = dict(process.ENVIRONMENT)
    for field, name in VARIABLES.items():
        if value := getattr(proxies, field):
            environment[name] = value
    if "http_proxy" not in environment and shutil.which("apt-config"):
        argv = ["apt-config", "--format", "%f=%v%n", "dump", "Acquire::http::Proxy"]
        completed = await process.run(argv)
        value = completed.stdout.decode(errors="replace").strip().partition("=")[2]
        if value and value != "DIRECT":
            environment["http_proxy"] = value
    return environment


def commands(suite: str, architecture: str, target: Path, mirror: str) -> list[str]:
    """The mmdebstrap command line for an image's root file system."""
    extra = EXTRA.get(suite, EXTRA["*"])
    hooks = [
        'printf "%s" "$NETWORK" > "$1/etc/systemd/network/eth0.network"',
        'mkdir -p "$1/etc/systemd/system/systemd-udev-trigger.service.d"',
        'printf "%s" "$UDEV" > "$1/etc/systemd/system/systemd-udev-trigger.service.d/container.conf"',
        'chroot "$1" systemctl enable systemd-networkd.service systemd-resolved.service',
        *(f'ln -sf /dev/null "$1/etc/systemd/system/{unit}"' for unit in MASKED),
        'rm -f "$1/etc/hostname" "$1/etc/machine-id" "$1/var/lib/dbus/machine-id"',
        ': > "$1/etc/machine-id"',
        'ln -sf /run/systemd/resolve/stub-resolv.conf "$1/etc/resolv.conf"',
        'chroot "$1" passwd -l root > /dev/null',
    ]
    argv = [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        "--format=tar",
        f"--architectures={architecture}",
    ]
    argv += [f"--include={PACKAGES}{extra}", '--aptopt=Acquire::Languages "none"']
    argv += ["--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    argv += ["--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/man/*"]
    argv += [f"--customize-hook={hook}" for hook in hooks]
    return [*argv, suite, str(target), mirror]


ON_SCRATCH = ("sh", "-c", 'mount --bind "$0" "$TMPDIR" && exec "$@"')
"""Runs mmdebstrap, in its own mount namespace, with a folder of ours for its temporary files.

Killed, it leaves them all; and it wants a place that apt's own user gets to.
"""


async def build(
    suite: str, architecture: str, target: ImageFiles, proxies: Proxies, progress: Progress
) -> dict[str, str]:
    """See ports.Rootfs. The caller removes the target's files on failure."""
    if shutil.which("mmdebstrap") is None:
        raise HostFailed(
            'cannot build a Debian image: program "mmdebstrap" is not installed; apt install mmdebstrap'
        )
    assert target.rootfs is not None
    made = target.rootfs.with_name("rootfs.tar.zst")
    argv = commands(suite, architecture, made, host_mirror())
    temporary = "/mnt" if target.rootfs.is_relative_to("/tmp") else "/tmp"
    own = {"NETWORK": NETWORK, "UDEV": UDEV, "TMPDIR": temporary}
    environment = {**await host_environment(proxies), **own}
    scratch = target.rootfs.with_name("scratch")
    scratch.mkdir()
    scratch.chmod(0o1777)
    await _run([*ON_SCRATCH, str(scratch), *argv], environment, suite, progress)
    await asyncio.to_thread(shutil.rmtree, scratch)
    made.rename(target.rootfs)
    now = int(time.time())
    properties = {
        "os": "Debian",
        "release": suite,
        "architecture": architecture,
        "serial": time.strftime("%Y%m%d_%H:%M", time.gmtime(now)),
        "description": f"Debian {suite} {architecture} ({time.strftime('%Y%m%d', time.gmtime(now))})",
    }
    await _pack_metadata(target.metadata, architecture, now, properties)
    return properties


async def _run(argv: list[str], environment: dict[str, str], suite: str, progress: Progress) -> None:
    child = await asyncio.create_subprocess_exec(
        *process.DIES_WITH_US,
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *argv),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    assert child.stderr is not None
    last: list[bytes] = []
    try:
        while line := await child.stderr.readline():
            last = [*last[-KEPT_LINES:], line.strip()]
            if match := STEPS.match(line.strip()):
                progress(match[1].decode(errors="replace"))
        status = await child.wait()
    finally:
        await process.kill_group(child)
    if status:
        said = b"\n".join(last)
        if b"No space left" in said:
            raise OutOfSpace(f"cannot build Debian {suite}: the disk is full; free some space")
        errors = [line for line in last if line.startswith(b"E:")] or last[-1:] or [b"it said nothing"]
        raise HostFailed(f"cannot build Debian {suite}: {errors[0].decode(errors='replace')}")


async def _pack_metadata(target: Path, architecture: str, now: int, properties: dict[str, str]) -> None:
    folder = target.with_name("metadata")
    (folder / "templates").mkdir(parents=True)
    for name, text in TEMPLATE_FILES.items():
        (folder / "templates" / name).write_text(text)
    text = image_model.metadata_text(
        architecture=offers.ARCHITECTURES[architecture],
        created=now,
        properties=properties,
        templates=TEMPLATES,
    )
    (folder / "metadata.yaml").write_text(text)
    argv = [
        "tar",
        "--create",
        "--gzip",
        f"--file={target}",
        f"--directory={folder}",
        "--owner=0",
        "--group=0",
    ]
    await process.check("pack image metadata", [*argv, "metadata.yaml", "templates"])
    shutil.rmtree(folder)
