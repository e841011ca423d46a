"""Programs that are timed in turns: which processes they run in, and what becomes of failures."""

import sys
from collections import Counter

import pytest

from tests.support.places import SCRIPTS

# It notes who it is at every task, and prints its number of tasks so far in place of a time.
_PROGRAM = """
import os, sys
name, log, last = sys.argv[1:]
print("ready", flush=True)
for number, line in enumerate(sys.stdin, 1):
    with open(log, "a") as file:
        print(name, line.strip(), os.getpid(), file=file)
    if number > int(last):
        sys.exit(f"{name} is broken")
    print(number, flush=True)
"""


def run(tmp_path, monkeypatch, restart, last=99):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from benchmarks import timing

    log = tmp_path / "log.txt"
    programs = {
        name: [sys.executable, "-c", _PROGRAM, name, str(log), str(limit)]
        for name, limit in (("first", 99), ("second", last))
    }
    found = timing.time_tasks(programs, ["a", "b"], 3, restart=restart)
    return *found, [line.split() for line in log.read_text().splitlines()]


@pytest.mark.parametrize("restart", [False, True])
def test_tasks_alternate_and_the_first_round_of_a_process_is_not_timed(
    tmp_path, monkeypatch, restart
):
    seconds, failed, log = run(tmp_path, monkeypatch, restart)
    assert not failed
    # The first two tasks of a process are untimed: a is its third, b its fourth.
    rounds = {"a": [3, 3, 3], "b": [4, 4, 4]} if restart else {"a": [3, 5, 7], "b": [4, 6, 8]}
    assert seconds == {
        task: dict.fromkeys(("first", "second"), values) for task, values in rounds.items()
    }
    assert [line[:2] for line in log[:4]] == [
        [name, task] for task in "ab" for name in ("first", "second")
    ]
    tasks_of_processes = Counter(pid for _, _, pid in log)
    assert list(tasks_of_processes.values()) == ([4] * 6 if restart else [8] * 2)


@pytest.mark.parametrize("restart", [False, True])
def test_a_program_that_fails_leaves_the_others(tmp_path, monkeypatch, restart):
    seconds, failed, log = run(tmp_path, monkeypatch, restart, last=3)
    assert failed == {"second": "second is broken"}
    assert {task: list(found) for task, found in seconds.items()} == {
        "a": ["first"],
        "b": ["first"],
    }
    assert all(len(found["first"]) == 3 for found in seconds.values())
    assert len([line for line in log if line[0] == "second"]) == 4  # it is not started again
