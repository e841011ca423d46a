"""The one thread that decodes, searches and predicts: what waits together is predicted together."""

import dataclasses
import io
import queue
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
from PIL import Image

from faceemo.analysis.theme import template
from faceemo.inference.faces import Face
from faceemo.inference.images import Picture
from faceemo.inference.prediction import Prediction
from faceemo.inference.predictor import LIMIT, Predictor
from faceemo.inference.serve import examples
from faceemo.inference.serve.decode_upload import picture_of
from faceemo.inference.serve.heatmaps import largest, make_heat_pngs
from faceemo.inference.serve.limits import Limits
from faceemo.inference.serve.schemas import Answer, face_answer

# Seconds for which a found face waits for others: to search them takes longer than the network.
_PATIENCE = 0.1
_CLOSING = 5.0  # seconds for what is being answered at the end


@dataclasses.dataclass(frozen=True, eq=False)
class _Job:
    content: bytes
    crops: bool
    heat: bool
    future: "Future[Answer]"
    arrived: float


@dataclasses.dataclass(frozen=True, eq=False)
class _Seen:
    """A job whose faces are found."""

    job: _Job
    picture: Picture
    faces: list[Face]


class Worker:
    """Answers one batch of requests after the other, in a thread that starts with the first.

    OpenCV's networks, which search for faces, are not for several threads at once.

    Args:
        predictor: used by nobody else from now on.
        limits: for pictures.
    """

    def __init__(self, predictor: Predictor, limits: Limits):
        self._predictor, self._limits = predictor, limits
        self._heat_pngs = make_heat_pngs(predictor)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        # Sizes of batches whose programs are not compiled yet, and for whether maps, see `warm`.
        self._cold: list[tuple[int, bool]] = []

    @property
    def compiling(self) -> bool:
        """Whether programs for larger batches are still to be compiled, see `warm`."""
        return bool(self._cold)

    @property
    def waiting(self) -> int:
        """Pictures that are not looked at yet, those that nobody waits for any more included."""
        return self._jobs.qsize()

    def submit(self, content: bytes, *, crops: bool = False, heat: bool = False) -> Future[Answer]:
        """The answer on an uploaded file, when it is there; or `Refused`.

        Args:
            content: of the file.
            crops: whether it is a face as it is, and none is searched.
            heat: whether maps of the evidence are made.
        """
        self.start()
        future: Future[Answer] = Future()
        self._jobs.put(_Job(content, crops, heat, future, time.monotonic()))
        return future

    def warm(self) -> None:
        """Loads and compiles what the first answer needs, in the caller's thread.

        The programs for larger batches are compiled by the worker while nobody waits.

        Raises:
            UserError: if the face detector cannot be had.
        """
        face, *_, group, _ = (example.png for example in examples.drawn())
        small = template.png(Image.open(io.BytesIO(face)).resize((32, 32)))  # another detector's
        jobs = [
            _Job(content, crops, True, Future(), time.monotonic())
            for content, crops in ((face, True), (small, False), (group, False))
        ]
        for job in jobs:
            self._answer([job])
            job.future.result()
        sizes = [1 << power for power in range(1, LIMIT.bit_length())]
        self._cold = [(size, heat) for heat in (False, True) for size in sizes]

    def start(self) -> None:
        """Begins to answer."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="faceemo-worker", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Ends after what is being answered."""
        if self._thread is not None:
            self._cold = []
            self._jobs.put(None)
            self._thread.join(_CLOSING)

    def _run(self) -> None:
        while True:
            try:
                job = self._jobs.get(block=not self._cold)
            except queue.Empty:
                for size, heat in self._cold[:1]:  # none, if it is being closed
                    self._compile(size, heat)
                self._cold = self._cold[1:]
                continue
            if job is None:
                return
            self._answer(self._gathered(job))

    def _compile(self, size: int, heat: bool) -> None:
        side = self._predictor.trained.config.native_size
        crops = np.zeros((size, side, side), np.uint8)
        try:
            if heat:
                self._heat_pngs(crops, self._predictor.classes[:1] * size)
            else:
                self._predictor.probabilities(crops)
        except Exception as error:  # such as too little memory: smaller batches may still do
            self._cold = []
            print(f"faceemo: batches of {size} do not run here: {error}", file=sys.stderr)

    def _gathered(self, job: _Job) -> list[_Job]:
        """With a request those that wait too, see `_answer`."""
        jobs = [job]
        while len(jobs) < LIMIT:
            try:
                waiting = self._jobs.get_nowait()
            except queue.Empty:
                break
            if waiting is None:
                self._jobs.put(None)
                break
            jobs.append(waiting)
        return jobs

    def _answer(self, jobs: list[_Job]) -> None:
        """Answers in batches that hold few enough faces and make nobody wait long for others."""
        batch: list[_Seen] = []
        began = time.monotonic()
        for job in jobs:
            if job.future.cancelled():
                continue  # nobody waits for it any more
            seen = self._seen(job)
            batch += [seen] if seen else []
            faces = sum(len(one.faces) for one in batch)
            if faces >= LIMIT or time.monotonic() - began > _PATIENCE:
                self._predict(batch)
                batch, began = [], time.monotonic()
        if batch:
            self._predict(batch)

    def _seen(self, job: _Job) -> _Seen | None:
        try:
            picture = picture_of(job.content, self._limits)
            return _Seen(job, picture, self._predictor.faces(picture, crops=job.crops))
        except Exception as error:  # whoever waits for it tells: `Refused`, or a bug
            _settle(job, error)
            return None

    def _predict(self, batch: list[_Seen]) -> None:
        batch = [seen for seen in batch if not seen.job.future.cancelled()]
        try:
            answered = self._predictor.answers([(one.picture, one.faces) for one in batch])
            answers = [found for _, found in answered]
            heats = self._heats(batch, answers)
            for row, (seen, found) in enumerate(zip(batch, answers, strict=True)):
                faces = [
                    face_answer(answer, face.region, heats.get((row, place)))
                    for place, (face, answer) in enumerate(
                        zip(seen.faces, found, strict=False)  # none: one answer
                    )
                ]
                assert seen.picture.pixels is not None
                height, width = seen.picture.pixels.grey.shape
                mapped = sum(one.heat is not None for one in faces)
                answer = Answer(
                    status="ok" if faces else "no_face",
                    width=width,
                    height=height,
                    faces=faces,
                    without_heat=len(faces) - mapped if seen.job.heat else 0,
                    seconds=round(time.monotonic() - seen.job.arrived, 3),
                )
                _settle(seen.job, answer)
        except Exception as error:
            for seen in batch:
                if not seen.job.future.done():
                    _settle(seen.job, error)

    def _heats(
        self, batch: Sequence[_Seen], answers: Sequence[Sequence[Prediction]]
    ) -> dict[tuple[int, int], bytes]:
        """The maps that are still waited for, by the place of the picture and of the face in it."""
        places = [
            (row, place)
            for row, seen in enumerate(batch)
            if seen.job.heat and not seen.job.future.cancelled()
            for place in largest(seen.faces)
        ]
        if not places:
            return {}
        crops = np.stack([batch[row].faces[place].crop for row, place in places])
        leanings = [answers[row][place].leaning or "" for row, place in places]
        return dict(zip(places, self._heat_pngs(crops, leanings), strict=True))


def _settle(job: _Job, outcome: Answer | Exception) -> None:
    """Tells whoever waits; until then a job is pending, so that it can be given up at any time."""
    if not job.future.set_running_or_notify_cancel():
        return
    if isinstance(outcome, Answer):
        job.future.set_result(outcome)
    else:
        job.future.set_exception(outcome)
