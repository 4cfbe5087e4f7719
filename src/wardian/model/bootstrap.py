"""What the remote `debian:` offers: suites and architectures that mmdebstrap builds. Import-light."""

SUITES = {
    "bullseye": ("11", "oldoldstable"),
    "bookworm": ("12", "oldstable"),
    "trixie": ("13", "stable", "default"),
    "sid": ("unstable",),
}
"""Suite -> other names for it. The first one that a name matches counts."""

ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64", "armhf": "armv7l", "i386": "i686"}
"""Debian's name -> ours."""


def resolve(alias: str, native: str) -> tuple[str, str] | None:
    """(suite, Debian architecture) of `SUITE[/ARCHITECTURE]`, or None if there is no such image.

    native: our name of the architecture that is meant when none is given.
    """
    name, _, architecture = alias.partition("/")
    by_ours = {ours: debian for debian, ours in ARCHITECTURES.items()}
    architecture = by_ours.get(architecture, architecture) if architecture else by_ours.get(native, "")
    for suite, others in SUITES.items():
        if name in (suite, *others) and architecture in ARCHITECTURES:
            return suite, architecture
    return None
