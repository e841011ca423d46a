"""The films that the server holds, and the thread that predicts on one after the other."""

import queue
import sys
import threading
import time
import traceback

from faceemo.inference.predictor import Predictor
from faceemo.inference.serve.errors import ApiError, make_busy_error
from faceemo.inference.serve.films import run
from faceemo.inference.serve.films.film import DONE, FAILED, KEEP_SECONDS, RUNNING, Film
from faceemo.inference.serve.limits import Limits

# Seconds after which a film that is done may make room for another one.
_SPARE_SECONDS = 60.0
_SWEEP_SECONDS = 20.0
_SHUTDOWN_TIMEOUT = 5.0


class Films:
    """The films, by their ids; thread-safe.

    Args:
        predictor: The predictor, which the films share with images.
        limits: The limits.
    """

    def __init__(self, predictor: Predictor, limits: Limits):
        self._predictor, self._limits = predictor, limits
        self._films: dict[str, Film] = {}
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Film | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def add(self, name: str, every: int) -> Film:
        """Makes room for a film that is about to arrive.

        Args:
            name: The name of its file.
            every: The step between the frames that are predicted on; 0 takes about five a second.

        Raises:
            ApiError: If there are too many films.
        """
        self._sweep()
        with self._lock:
            if len(self._films) >= self._limits.max_films and not self._make_room():
                raise make_busy_error(f"{len(self._films)} films")
            film = Film(name, every)
            self._films[film.id] = film
        return film

    def start(self, film: Film) -> None:
        """Queues a film that has arrived."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="faceemo-films", daemon=True)
            self._thread.start()
        self._queue.put(film)

    def get(self, id: str) -> Film:
        """Returns a film, and notes that somebody asked for it.

        Raises:
            ApiError: If there is none with this id.
        """
        with self._lock:
            film = self._films.get(id)
        if film is None:
            raise ApiError(
                404,
                "no_such_film",
                expected="the id of a film that was sent to /api/films and is kept",
                found=f"'{id[:80]}'",
                fix="send the film again: films are deleted "
                f"{KEEP_SECONDS / 60:g} minutes after the last request for them",
            )
        film.asked = time.monotonic()
        return film

    def delete(self, film: Film) -> None:
        """Cancels a film if it is not done, and deletes it."""
        with self._lock:
            self._films.pop(film.id, None)
        film.delete()

    def close(self) -> None:
        """Cancels all films, deletes them and ends the thread."""
        for film in [*self._films.values()]:
            self.delete(film)
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(_SHUTDOWN_TIMEOUT)

    def _make_room(self) -> bool:
        """Deletes the film that was asked for least recently, if it is done and spare."""
        ended = [one for one in self._films.values() if one.is_ended]
        oldest = min(ended, key=lambda film: film.asked, default=None)
        if oldest is None or time.monotonic() - oldest.asked < _SPARE_SECONDS:
            return False
        del self._films[oldest.id]
        oldest.delete()
        return True

    def _sweep(self) -> None:
        """Deletes the films that nobody asks for any more."""
        for film in [one for one in [*self._films.values()] if one.is_forgotten]:
            self.delete(film)

    def _run(self) -> None:
        while True:
            try:
                film = self._queue.get(timeout=_SWEEP_SECONDS)
            except queue.Empty:
                self._sweep()
                continue
            if film is None:
                return
            self._process(film)

    def _process(self, film: Film) -> None:
        film.status, film.began = RUNNING, time.monotonic()
        try:
            run.run(self._predictor, film)
            film.status = DONE
        except run.CancelledError:
            self.delete(film)
        except ApiError as error:
            film.problem, film.status = str(error), FAILED
        except Exception:  # the next film must not wait for ever
            traceback.print_exc(file=sys.stderr)
            film.problem, film.status = "an error inside faceemo", FAILED
        finally:
            if film.cancel.is_set():
                film.delete_files()
