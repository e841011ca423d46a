"""For how long a process does nothing: a wait that is not the fault of a busy machine."""

import contextlib
import threading
import time
from pathlib import Path

_STEP = 0.02  # seconds between two looks
_LATE = 0.2  # seconds, above which the looker itself was held up, and knows nothing of the time
_WORKING = "RD"  # running or ready to, reading or writing a disk


class Idleness(threading.Thread):
    """Adds up the time in which all other threads of this process sleep.

    A thread that is ready but gets no core does not sleep, so that the clock alone would accuse
    what the machine is to blame for.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seconds = 0.0
        self.start()

    def run(self) -> None:
        """Looks again and again."""
        before = time.monotonic()
        while True:
            time.sleep(_STEP)
            now = time.monotonic()
            if now - before < _LATE and not self._others_work():
                self.seconds += now - before
            before = now

    def _others_work(self) -> bool:
        own = threading.get_native_id()
        for thread in Path("/proc/self/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                stat = (thread / "stat").read_text(encoding="ascii", errors="replace")
                if int(thread.name) != own and stat.rpartition(")")[2].split()[0] in _WORKING:
                    return True
        return False
