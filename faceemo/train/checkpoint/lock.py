"""A lock that lets only one run at a time train in a folder.

A second one would delete what the first writes.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from faceemo import staging
from faceemo.errors import UserError
from faceemo.train import parallel


@contextlib.contextmanager
def lock_workdir(workdir: Path) -> Iterator[None]:
    """Locks `workdir` against other runs.

    If several processes train together, only the first takes the lock. The operating system
    lifts the lock when the process ends, however it ends.

    Args:
        workdir: The run's folder; it must exist for the first process.

    Raises:
        UserError: In every process, if another run is training in it.
    """
    with contextlib.ExitStack() as stack:

        @parallel.on_first
        def lock() -> None:
            try:
                stack.enter_context(staging.locked(workdir, wait=False))
            except BlockingIOError as error:
                raise UserError(
                    expected=f"no other run in {workdir}",
                    found="another run that is training there now",
                    fix="wait until it ends, or stop it and give its command again, which resumes "
                    "it; or give another --workdir",
                ) from error

        lock()
        yield
