"""One run at a time in a folder: a second one would remove what the first is writing."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from faceemo import staging
from faceemo.errors import UserError
from faceemo.train import parallel


@contextlib.contextmanager
def claimed(workdir: Path) -> Iterator[None]:
    """Keeps other runs out of `workdir` meanwhile; of several processes the first does.

    The system lifts the lock when the process ends, however it ends.

    Args:
        workdir: is there, in the first process.

    Raises:
        UserError: in every process, if another run is in it.
    """
    with contextlib.ExitStack() as stack:

        @parallel.on_first
        def claim() -> None:
            try:
                stack.enter_context(staging.alone(workdir, wait=False))
            except BlockingIOError as error:
                raise UserError(
                    expected=f"no other run in {workdir}",
                    found="one that is training there now",
                    fix="let it end or stop it (then the same command goes on from there), or give "
                    "another --workdir",
                ) from error

        claim()
        yield
