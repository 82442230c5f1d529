"""How much memory this machine has left."""

from __future__ import annotations


def available_memory() -> int:
    """Return the bytes of memory that this process can still take, 0 if the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as stream:
            words = dict(line.split(":", 1) for line in stream)
        available = int(words["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return 0
    try:  # the limit of a container
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as limit:
            with open("/sys/fs/cgroup/memory.current", encoding="ascii") as used:
                available = min(available, int(limit.read()) - int(used.read()))
    except (OSError, ValueError):
        pass
    return max(0, available)
