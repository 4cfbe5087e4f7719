"""Rows of the keys that bound what a container uses (`limits.*`)."""

from wardian.model import kernel_limits, limits, nics, values
from wardian.model.key import Key

KEYS = (
    Key(
        "limits.cpu",
        values.CPUS,
        "Number of CPUs (`2`), or which ones (`0,2`, `0-3`, `1-1`). Unset: all.",
        live="yes",
        render=limits.cpu,
    ),
    Key(
        "limits.cpu.allowance",
        values.ALLOWANCE,
        "A share of the CPU time when the host is busy (`50%`), or a hard limit (`25ms/100ms` of one CPU).",
        default="100%",
        live="yes",
        render=limits.cpu_time,
    ),
    Key(
        "limits.cpu.priority",
        values.PRIORITY,
        "Who comes first among containers with the same share; higher is better.",
        default="10",
        live="yes",
        render=limits.cpu_time,
    ),
    Key(
        "limits.disk.priority",
        values.PRIORITY,
        "Weight of the container's disk access when disks are busy; higher is better.",
        default="5",
        live="yes",
        render=limits.disk,
    ),
    *(
        Key(
            f"limits.hugepages.{size}",
            values.SIZE,
            f"Most memory in huge pages of {size}, where the kernel counts them. Unset: all that there are.",
            live="yes",
            render=limits.huge_pages,
        )
        for size in sorted(limits.HUGE_PAGES)
    ),
    Key(
        "limits.kernel.*",
        values.KERNEL_LIMIT,
        "Limit of setrlimit(2) for each process, such as `limits.kernel.nofile`. Processes that run keep "
        "theirs, but for init and what it starts from then on.",
        live="yes",
        check_own=kernel_limits.check_limit,
    ),
    Key(
        "limits.memory",
        values.MEMORY,
        "Most memory, as a size or as a percentage of the host's. Unset: all.",
        live="yes",
        render=limits.memory,
    ),
    Key(
        "limits.memory.enforce",
        values.choice("soft", "hard"),
        "`hard`: never more than the limit. `soft`: more while the host has memory to spare.",
        default="hard",
        live="yes",
        render=limits.memory,
    ),
    Key(
        "limits.memory.swap",
        values.BOOL,
        "Whether the container's memory may be swapped out.",
        default="true",
        live="yes",
        render=limits.memory,
    ),
    Key(
        "limits.memory.swap.priority",
        values.PRIORITY,
        "Which container's memory is swapped out first, where the kernel can tell (cgroup v1).",
        default="10",
        live="yes",
        render=limits.memory,
    ),
    Key(
        nics.PRIORITY_KEY,
        values.PRIORITY,
        "What queues of the host go by for packets of the container, on each bridged, p2p and routed nic "
        "that has no `limits.priority`. Unset: as for any packet.",
        default="0",
        live="yes",
    ),
    Key(
        "limits.processes",
        values.POSITIVE,
        "Most processes and threads. Unset: as many as the host allows.",
        live="yes",
        render=limits.processes,
    ),
)
