"""One uploaded film: its files, its state and its results."""

import dataclasses
import secrets
import tempfile
import threading
import time
from pathlib import Path

from faceemo.errors import escape_name
from faceemo.inference.serve.films.schemas import FilmState, FilmTrack

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"
# Seconds after which a film that nobody asks for is cancelled and deleted. Browsers slow pages in
# the background down to one request a minute.
KEEP_SECONDS = 600.0
# The files that can be fetched, with their content types.
RESULTS = {
    "film.mp4": "video/mp4",
    "predictions.csv": "text/csv; charset=utf-8",
    "faces.csv": "text/csv; charset=utf-8",
    "faces.png": "image/png",
}


@dataclasses.dataclass(eq=False)
class Film:
    """A film in a folder of its own.

    Attributes:
        name: The name of its file, as the client gives it.
        every: The step between the frames that are predicted on; 0 until it is known.
        id: A name that nobody can guess.
        status: One of the constants of this module.
        problem: Why it failed, or what is missing from it.
        frames: The number of frames that are predicted on so far.
        frame_count: The number of frames to predict on; None if it is not known.
        tracks: Its faces, once it is done.
        asked: When a client last asked for it, in seconds of `time.monotonic`.
        began: When the work on it began.
        cancel: Set if the work on it is to end, and its files are to be deleted.
    """

    name: str
    every: int
    id: str = dataclasses.field(default_factory=lambda: secrets.token_urlsafe(16))
    status: str = WAITING
    problem: str = ""
    frames: int = 0
    frame_count: int | None = None
    tracks: list[FilmTrack] = dataclasses.field(default_factory=list)
    asked: float = dataclasses.field(default_factory=time.monotonic)
    began: float = 0.0
    cancel: threading.Event = dataclasses.field(default_factory=threading.Event)
    _folder: tempfile.TemporaryDirectory[str] = dataclasses.field(
        default_factory=lambda: tempfile.TemporaryDirectory(prefix="faceemo-film-")
    )

    @property
    def path(self) -> Path:
        """The file as it was uploaded.

        It has no ending, so that its content alone decides whether it is a film: FFmpeg would open
        the files that a list names, which passes for a film only by its ending.
        """
        return Path(self._folder.name, "uploaded")

    @property
    def is_ended(self) -> bool:
        """Whether there is nothing more to do."""
        return self.status in (DONE, FAILED)

    @property
    def is_forgotten(self) -> bool:
        """Whether nobody has asked for it for long."""
        return time.monotonic() - self.asked > KEEP_SECONDS

    def get_result(self, name: str) -> Path:
        """Returns the path of one of `RESULTS`, which exists once the film is done."""
        return Path(self._folder.name, name)

    def delete(self) -> None:
        """Deletes its files; those of a film that is being predicted on once that has ended."""
        self.cancel.set()
        if self.status != RUNNING:
            self.delete_files()

    def delete_files(self) -> None:
        """Deletes its files at once."""
        self._folder.cleanup()

    def describe(self) -> FilmState:
        """Describes its state."""
        left = None
        if self.status == RUNNING and self.frames and self.frame_count:
            per_frame = (time.monotonic() - self.began) / self.frames
            left = round(per_frame * max(0, self.frame_count - self.frames), 1)
        return FilmState(
            id=self.id,
            name=escape_name(self.name),
            status=self.status,  # type: ignore[arg-type]
            problem=self.problem,
            every=self.every,
            frames=self.frames,
            frame_count=self.frame_count,
            seconds_left=left,
            tracks=self.tracks,
        )
