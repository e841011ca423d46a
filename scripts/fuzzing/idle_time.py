"""Measures how long a process is idle, apart from time in which a busy machine delays it."""

import contextlib
import threading
import time
from pathlib import Path

_INTERVAL = 0.02  # seconds between two samples
_MAX_INTERVAL = 0.2  # seconds; after a longer interval the sampling thread itself was delayed
_WORKING_STATES = "RD"  # running or ready to run, and waiting for a disk


class IdleTimer(threading.Thread):
    """Adds up the time in which all other threads of this process sleep.

    A thread that is ready to run but gets no core does not sleep; wall-clock time would count it.

    Attributes:
        seconds: Idle time so far.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seconds = 0.0
        self.start()

    def run(self) -> None:
        """Samples the threads until the process ends."""
        last = time.monotonic()
        while True:
            time.sleep(_INTERVAL)
            now = time.monotonic()
            if now - last < _MAX_INTERVAL and not self._other_threads_work():
                self.seconds += now - last
            last = now

    def _other_threads_work(self) -> bool:
        own = threading.get_native_id()
        for thread in Path("/proc/self/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread ended
                stat = (thread / "stat").read_text(encoding="ascii", errors="replace")
                if (
                    int(thread.name) != own
                    and stat.rpartition(")")[2].split()[0] in _WORKING_STATES
                ):
                    return True
        return False
