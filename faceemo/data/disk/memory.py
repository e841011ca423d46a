"""The memory that this process may use: that of the machine, or what its cgroup allows."""

import contextlib
import os
from pathlib import Path


def total_bytes(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Returns the bytes of memory that this process may use at most.

    Containers and batch systems such as SLURM limit the memory of a job by a cgroup.

    Args:
        proc: The folder of processes.
        groups: The folder of cgroups; neither exists outside Linux.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    own = proc / "self" / "cgroup"
    lines = own.read_text().splitlines() if own.is_file() else []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2
            name, top = "memory.max", groups
        elif "memory" in controllers.split(","):
            name, top = "memory.limit_in_bytes", groups / "memory"
        else:
            continue
        folder = top / path.lstrip("/")
        # Inside a container the path may be one outside, and limits above hold below.
        for place in (folder, *folder.parents):
            if place == top or top in place.parents:
                with contextlib.suppress(OSError, ValueError):  # such as 'max'
                    limits.append(int((place / name).read_text()))
    return min(limits)
