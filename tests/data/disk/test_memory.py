"""The memory that a process may use is the machine's, unless a cgroup allows less."""

import os

import pytest

from faceemo.data.disk import memory

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.fixture
def system(tmp_path):
    """Writes the files of a system; returns the memory that is found."""

    def find(cgroup, limits):
        (tmp_path / "proc" / "self").mkdir(parents=True)
        (tmp_path / "proc" / "self" / "cgroup").write_text(cgroup)
        for path, limit in limits.items():
            file = tmp_path / "groups" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{limit}\n")
        return memory.total_bytes(tmp_path / "proc", tmp_path / "groups")

    return find


def test_without_cgroups_it_is_the_machines(tmp_path):
    assert memory.total_bytes(tmp_path, tmp_path) == MACHINE


def test_a_limit_holds_for_the_groups_below_it(system):
    limits = {"slurm/memory.max": 3_000_000, "slurm/job/memory.max": "max"}
    assert system("0::/slurm/job/step\n", limits) == 3_000_000


def test_the_smallest_of_several_limits_holds(system):
    limits = {"a/memory.max": 5_000_000, "a/b/memory.max": 2_000_000, "other/memory.max": 1}
    assert system("0::/a/b\n", limits) == 2_000_000


def test_the_limit_of_a_container_stands_at_the_top(system):
    """Its group's path is one outside, which it does not see."""
    assert system("0::/docker/1234\n", {"memory.max": 4_000_000}) == 4_000_000


def test_limits_of_the_first_version_count(system):
    lines = "12:cpu,cpuacct:/x\n5:memory:/job\n"
    limits = {"memory/job/memory.limit_in_bytes": 7_000_000, "memory/memory.limit_in_bytes": 2**63}
    assert system(lines, limits) == 7_000_000


def test_a_limit_above_the_machines_memory_is_none(system):
    assert system("0::/a\n", {"a/memory.max": MACHINE * 2}) == MACHINE
