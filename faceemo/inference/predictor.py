"""From images to emotions, with a trained network."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import scipy.special

from faceemo.analysis import calibration
from faceemo.errors import UserError
from faceemo.inference.faces import Face, FaceFinder
from faceemo.inference.images import Picture, pictures_of
from faceemo.inference.prediction import Prediction, on_face, without_face
from faceemo.train import compile_cache
from faceemo.train.checkpoint import trained_model
from faceemo.train.checkpoint.trained_model import TrainedModel
from faceemo.train.steps import make_eval_step

# Faces at once, at the most. Batches are padded to powers of two, so that there are six programs.
LIMIT = 32
# Pixels of pictures that wait for a batch to fill: 84 MB, as each stands in memory five times.
_WAITING = 2**24


class Predictor:
    """Answers by the best weights of a run, as its evaluation does.

    Attributes:
        trained: the network and what belongs to it.
        classes: names of what it tells apart.
        finder: of faces.
    """

    def __init__(self, trained: TrainedModel):
        config = trained.config
        self.trained = trained
        self.classes = trained.classes
        self.finder = FaceFinder(
            config.native_size, config.face_threshold, exact=config.exact_screening
        )
        self._step = jax.jit(make_eval_step(trained.model, trained.preprocessing))
        self._variables = jax.device_put(trained.variables)

    def predict(self, images: Any, *, crops: bool = False) -> list[Prediction]:
        """Finds the faces in images and says what they express.

        Args:
            images: one or many: paths of files or folders, PIL images, uint8 arrays [H, W] (grey),
                [H, W, 3] (red, green, blue), [N, H, W] or [N, H, W, 3], or lists of these.
            crops: whether every image is a face as it is, and none is searched.

        Returns:
            one answer per face, in the order of the images and from left to right; for an image
            without a face one that says so.

        Raises:
            UserError: if something is no image, or cannot be decoded.
        """
        answers: list[Prediction] = []
        for picture, found in self.stream(pictures_of(images), crops=crops):
            if picture.pixels is None:
                raise UserError(
                    expected=f"an image that can be decoded: {picture.name}",
                    found=picture.problem,
                    fix="leave it out; `faceemo predict` lists such files and goes on",
                )
            answers += found
        return answers

    def stream(
        self, pictures: Iterable[Picture], *, crops: bool = False, prompt: bool = False
    ) -> Iterator[tuple[Picture, list[Prediction]]]:
        """The same for any number of pictures, in constant memory.

        Args:
            pictures: of `images.pictures_of` or `video.Video.pictures`.
            crops: as of `predict`.
            prompt: whether each is answered before the next one is asked for, as a webcam needs;
                else they wait for a batch to fill.

        Yields:
            every picture with its answers; one that cannot be decoded has none.
        """
        waiting: list[tuple[Picture, list[Face]]] = []
        for picture in pictures:
            waiting.append((picture, self.faces(picture, crops=crops)))
            faces = sum(len(found) for _, found in waiting)
            pixels = sum(one.pixels.grey.size for one, _ in waiting if one.pixels)
            if prompt or faces >= LIMIT or pixels >= _WAITING:
                yield from self.answers(waiting)
                waiting = []
        yield from self.answers(waiting)

    def answers(
        self, waiting: Sequence[tuple[Picture, list[Face]]]
    ) -> Iterator[tuple[Picture, list[Prediction]]]:
        """The answers on pictures whose faces are found, all in one batch, as of `stream`."""
        crops = [face.crop for _, faces in waiting for face in faces]
        rows = iter(self.probabilities(np.stack(crops)) if crops else ())
        for picture, faces in waiting:
            probabilities = itertools.islice(rows, len(faces))
            answers = [
                on_face(
                    picture.index,
                    picture.name,
                    dict(zip(self.classes, map(float, row), strict=True)),
                    face.box,
                    face.confidence,
                )
                for face, row in zip(faces, probabilities, strict=True)
            ]
            if picture.pixels is not None and not answers:
                answers = [without_face(picture.index, picture.name)]
            yield picture, answers

    def faces(self, picture: Picture, *, crops: bool = False) -> list[Face]:
        """What the network is shown of a picture; nothing of one that cannot be decoded."""
        if picture.pixels is None:
            return []
        return [self.finder.whole(picture.pixels)] if crops else self.finder.faces(picture.pixels)

    def probabilities(self, crops: np.ndarray) -> np.ndarray:
        """Calibrated probabilities float32 [N, C] of uint8 [N, S, S], S the run's native size."""
        found = [
            self._logits(crops[start : start + LIMIT]) for start in range(0, len(crops), LIMIT)
        ]
        none = np.zeros((0, len(self.classes)), np.float32)
        softmax = scipy.special.softmax(np.concatenate([none, *found]), axis=1)
        return calibration.apply_temperature(softmax, self.trained.temperature)

    def _logits(self, crops: np.ndarray) -> np.ndarray:
        padded = np.pad(crops, ((0, bucket(len(crops)) - len(crops)), (0, 0), (0, 0)))
        params, batch_stats = self._variables["params"], self._variables["batch_stats"]
        return np.asarray(self._step(params, batch_stats, padded))[: len(crops)]


def bucket(count: int) -> int:
    """To how many rows a batch of `count`, 1 to `LIMIT`, is padded."""
    return 1 << (count - 1).bit_length()


def load(path: str | Path) -> Predictor:
    """A predictor by the best weights of a run, or by the network that comes with faceemo.

    Everything it needs to know (network, preprocessing, classes, sizes, temperature, thresholds)
    is read from there.

    Args:
        path: the run's folder, a file of `faceemo.train.checkpoint.trained_model`, or
            `trained_model.BUILTIN`.

    Raises:
        UserError: if there is neither, or it is damaged.
    """
    compile_cache.keep()
    return Predictor(trained_model.read(Path(path)))
