"""The thread that decodes images, finds faces and predicts; waiting requests share a batch."""

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
from faceemo.data.measure.boxes import Box
from faceemo.inference.engine.names import JAX
from faceemo.inference.faces import Face
from faceemo.inference.loaded_image import LoadedImage
from faceemo.inference.prediction import Prediction
from faceemo.inference.predictor import MAX_BATCH, Predictor
from faceemo.inference.serve import examples
from faceemo.inference.serve.decode_upload import decode_image
from faceemo.inference.serve.heatmaps import find_largest, make_render_heatmaps
from faceemo.inference.serve.limits import Limits
from faceemo.inference.serve.preview import make_thumbnail
from faceemo.inference.serve.reading_order import sort_for_reading
from faceemo.inference.serve.regions import take_region
from faceemo.inference.serve.schemas import FacePrediction, PredictResponse

# Maximum seconds for which a batch collects faces: detection takes longer than prediction.
_MAX_BATCH_DELAY = 0.1
_SHUTDOWN_TIMEOUT = 5.0  # seconds for the batch that is being processed


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What a request asks for.

    Attributes:
        crops: Whether the whole image is one face, so that none is searched for.
        region: The part of the image that is one face, in place of a search; None searches.
        heat: Whether heatmaps are made.
        thumbnails: Whether pictures of the faces are made.
    """

    crops: bool = False
    region: Box | None = None
    heat: bool = False
    thumbnails: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class _Job:
    """An uploaded file whose response is due."""

    content: bytes
    wishes: Wishes
    future: "Future[PredictResponse]" = dataclasses.field(default_factory=Future)
    submitted: float = dataclasses.field(default_factory=time.monotonic)


@dataclasses.dataclass(frozen=True, eq=False)
class _DecodedJob:
    """A job with its image and the faces that were found in it, in the order of reading."""

    job: _Job
    image: LoadedImage
    faces: list[Face]

    def make_thumbnail(self, index: int) -> bytes | None:
        """Makes the picture of a face, if the request asks for it."""
        if not self.job.wishes.thumbnails or self.image.pixels is None:
            return None
        return make_thumbnail(self.image.pixels, self.faces[index].region)


class Worker:
    """Processes batches of requests one after the other, in a thread of its own.

    A single thread, because each step uses all cores, and requests that wait share a batch.

    Args:
        predictor: The predictor.
        limits: Limits on images.
    """

    def __init__(self, predictor: Predictor, limits: Limits):
        self._predictor, self._limits = predictor, limits
        self._render_heatmaps = make_render_heatmaps(predictor)
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        # Programs still to be compiled: batch size, whether for heatmaps. See `warm_up`.
        self._uncompiled: list[tuple[int, bool]] = []

    @property
    def is_compiling(self) -> bool:
        """Returns whether programs for larger batches are still to be compiled, see `warm_up`."""
        return bool(self._uncompiled)

    @property
    def queue_size(self) -> int:
        """Counts the jobs that are not begun yet, cancelled ones included."""
        return self._queue.qsize()

    def submit(self, content: bytes, wishes: Wishes | None = None) -> Future[PredictResponse]:
        """Queues an uploaded file; the future holds its response, or an `ApiError`.

        Args:
            content: Content of the file.
            wishes: What the request asks for; None asks for nothing but predictions.
        """
        self.start()
        job = _Job(content, wishes or Wishes())
        self._queue.put(job)
        return job.future

    def warm_up(self) -> None:
        """Loads and compiles all that the first request needs, in the caller's thread.

        The thread compiles the programs for larger batches when no request is waiting.

        Raises:
            UserError: If the face detector is not available.
        """
        # JAX, which heatmaps need, is loaded and compiles them later if predictions do without it.
        later = self._predictor.engine.name != JAX
        face, *_, group, _ = (example.png for example in examples.make_examples())
        # Small images have a face detector of their own.
        small = template.encode_png(Image.open(io.BytesIO(face)).resize((32, 32)))
        jobs = [
            _Job(content, Wishes(crops=crops, heat=not later))
            for content, crops in ((face, True), (small, False), (group, False))
        ]
        for job in jobs:
            self._process([job])
            job.future.result()
        sizes = [1 << power for power in range(1, MAX_BATCH.bit_length())]
        self._uncompiled = [(size, heat) for heat in (False, True) for size in sizes]
        if later:
            self._uncompiled = [(size, True) for size in (1, *sizes)]

    def start(self) -> None:
        """Starts the thread unless it is running."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="faceemo-worker", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stops the thread after the jobs that are queued."""
        if self._thread is not None:
            self._uncompiled = []
            self._queue.put(None)
            self._thread.join(_SHUTDOWN_TIMEOUT)

    def _run(self) -> None:
        while True:
            try:
                job = self._queue.get(block=not self._uncompiled)
            except queue.Empty:
                for size, heat in self._uncompiled[:1]:  # empty if `close` was called meanwhile
                    self._compile(size, heat)
                self._uncompiled = self._uncompiled[1:]
                continue
            if job is None:
                return
            self._process(self._take_waiting(job))

    def _compile(self, size: int, heat: bool) -> None:
        crops = np.zeros((size, *self._predictor.network.image_format.shape), np.uint8)
        try:
            if heat:
                self._render_heatmaps(crops, self._predictor.classes[:1] * size)
            else:
                self._predictor.probabilities(crops)
        except Exception as error:  # such as too little memory: smaller batches may still work
            self._uncompiled = []
            print(
                f"faceemo: warning: this machine cannot process {size} faces at once: {error}",
                file=sys.stderr,
            )

    def _take_waiting(self, job: _Job) -> list[_Job]:
        """Returns `job` and the jobs that are waiting behind it, at most `MAX_BATCH` together."""
        jobs = [job]
        while len(jobs) < MAX_BATCH:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                break
            if waiting is None:
                self._queue.put(None)
                break
            jobs.append(waiting)
        return jobs

    def _process(self, jobs: list[_Job]) -> None:
        """Processes jobs in batches, limited in their faces and in the time for finding them."""
        batch: list[_DecodedJob] = []
        start = time.monotonic()
        for job in jobs:
            if job.future.cancelled():
                continue
            decoded = self._decode(job)
            batch += [decoded] if decoded else []
            faces = sum(len(one.faces) for one in batch)
            if faces >= MAX_BATCH or time.monotonic() - start > _MAX_BATCH_DELAY:
                self._predict(batch)
                batch, start = [], time.monotonic()
        if batch:
            self._predict(batch)

    def _decode(self, job: _Job) -> _DecodedJob | None:
        """Decodes a job's image and finds its faces; returns None if that failed."""
        try:
            image = decode_image(job.content, self._limits)
            if job.wishes.region:
                faces = [take_region(self._predictor, image, job.wishes.region)]
            else:
                faces = self._predictor.find_faces(image, crops=job.wishes.crops)
            return _DecodedJob(job, image, sort_for_reading(faces))
        except Exception as error:  # an `ApiError` or a bug, either of which the request reports
            _resolve(job, error)
            return None

    def _predict(self, batch: list[_DecodedJob]) -> None:
        """Resolves the futures of a batch."""
        batch = [decoded for decoded in batch if not decoded.job.future.cancelled()]
        try:
            results = self._predictor.predict_faces([(one.image, one.faces) for one in batch])
            predictions = [found for _, found in results]
            heatmaps = self._make_heatmaps(batch, predictions)
            for row, (decoded, found) in enumerate(zip(batch, predictions, strict=True)):
                faces = [
                    FacePrediction.from_prediction(
                        prediction, heatmaps.get((row, index)), decoded.make_thumbnail(index)
                    )
                    # an image without a face has one prediction, which says so
                    for index, prediction in enumerate(found[: len(decoded.faces)])
                ]
                assert decoded.image.pixels is not None
                width, height = decoded.image.pixels.size
                with_heat = sum(face.heat is not None for face in faces)
                response = PredictResponse(
                    status="ok" if faces else "no_face",
                    width=width,
                    height=height,
                    faces=faces,
                    without_heat=len(faces) - with_heat if decoded.job.wishes.heat else 0,
                    seconds=round(time.monotonic() - decoded.job.submitted, 3),
                )
                _resolve(decoded.job, response)
        except Exception as error:
            for decoded in batch:
                if not decoded.job.future.done():
                    _resolve(decoded.job, error)

    def _make_heatmaps(
        self, batch: Sequence[_DecodedJob], predictions: Sequence[Sequence[Prediction]]
    ) -> dict[tuple[int, int], bytes]:
        """Makes the heatmaps of jobs that are not cancelled; PNGs by (row of batch, face)."""
        keys = [
            (row, index)
            for row, decoded in enumerate(batch)
            if decoded.job.wishes.heat and not decoded.job.future.cancelled()
            for index in find_largest(decoded.faces)
        ]
        if not keys:
            return {}
        crops = np.stack([batch[row].faces[index].crop for row, index in keys])
        labels = [predictions[row][index].leaning or "" for row, index in keys]
        return dict(zip(keys, self._render_heatmaps(crops, labels), strict=True))


def _resolve(job: _Job, outcome: PredictResponse | Exception) -> None:
    """Resolves a job's future, which is pending until now so that it can be cancelled any time."""
    if not job.future.set_running_or_notify_cancel():
        return
    if isinstance(outcome, PredictResponse):
        job.future.set_result(outcome)
    else:
        job.future.set_exception(outcome)
