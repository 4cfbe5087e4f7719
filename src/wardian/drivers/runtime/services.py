"""systemd's services in containers whose memory is to be saved: without namespaces of their own.

systemd reads drop-ins from a folder of ours, which is shown to the container and named in the
environment of its init: its files stay as they are.
"""

from pathlib import Path

PLACE = "dev/.wardian/units"
"""Where the container sees the folder."""

PATH = "SYSTEMD_UNIT_PATH"
"""Variable that names the folders of units, the usual ones for an empty word at its end."""

PRESSURE = "MEMORY_PRESSURE_WATCH"
"""Variable that names the file where systemd waits for a lack of memory. CRIU opens it again, but does not
say for what: it would be told of it without end."""

DROP_IN = "service.d/zz-migration-stateful.conf"
"""For every service, and the last of its drop-ins: they are sorted by name."""

SETTINGS = {
    # mount namespaces
    **dict.fromkeys(
        (
            "PrivateMounts",
            "PrivateTmp",
            "PrivateDevices",
            "ProtectSystem",
            "ProtectHome",
            "ProtectClock",
            "ProtectControlGroups",
            "ProtectKernelLogs",
            "ProtectKernelModules",
            "ProtectKernelTunables",
        ),
        "no",
    ),
    "ProtectProc": "default",
    "ProcSubset": "all",
    **dict.fromkeys(
        (
            "ReadWritePaths",
            "ReadOnlyPaths",
            "InaccessiblePaths",
            "ExecPaths",
            "NoExecPaths",
            "BindPaths",
            "BindReadOnlyPaths",
            "TemporaryFileSystem",
            # Files that the service has open in file systems which CRIU makes anew with other modes.
            "LoadCredential",
            "ImportCredential",
        ),
        "",
    ),
    "MemoryPressureWatch": "off",
    # others
    **dict.fromkeys(
        ("ProtectHostname", "PrivateIPC", "PrivateUsers", "PrivateNetwork", "RestrictNamespaces"), "no"
    ),
}
"""All that gives a service a namespace of its own, switched off. (What a version of systemd does not know
yet, it tells in its log.)"""


def text() -> str:
    """The drop-in."""
    return "[Service]\n" + "".join(f"{name}={value}\n" for name, value in SETTINGS.items())


def write(folder: Path) -> None:
    """Write the folder anew where it is not as it should be; containers may be reading it."""
    path = folder / DROP_IN
    if path.is_file() and path.read_text() == text():
        return
    for made in (folder, path.parent):
        made.mkdir(mode=0o755, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(text())
    fresh.chmod(0o644)
    fresh.replace(path)
