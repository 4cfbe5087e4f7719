"""The seccomp policy of every container, in liblxc's format 2 (spec/behaviour.md section 18.3)."""

REFUSED = ("kexec_load", "open_by_handle_at", "init_module", "finit_module", "delete_module")
"""Calls that reach the host's kernel or other mounts' files whatever the namespaces."""


def policy_text() -> str:
    """A deny list: forced umount (`MNT_FORCE` stalls network file systems) and REFUSED get EPERM."""
    lines = ["2", "denylist", "[all]", "reject_force_umount"]
    lines += [f"{name} errno 1" for name in REFUSED]
    return "\n".join(lines) + "\n"
