"""Prediction of emotions in images by a trained network."""

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from faceemo.analysis.probabilities import calibrate
from faceemo.errors import UserError
from faceemo.inference import forks
from faceemo.inference.crops import find_in_crops, predict_crops
from faceemo.inference.engine.batches import MAX_BATCH
from faceemo.inference.engine.choose import choose
from faceemo.inference.engine.names import AUTO
from faceemo.inference.engine.onnx_engine import OnnxEngine
from faceemo.inference.faces import Face, FaceFinder
from faceemo.inference.film.following import INTERVAL, check_interval
from faceemo.inference.film.tracking import track_films
from faceemo.inference.finding import find_in_stream, gather_faces
from faceemo.inference.images import LoadedImage, load_images
from faceemo.inference.prediction import Prediction
from faceemo.train.checkpoint.network_facts import NetworkFacts

if TYPE_CHECKING:
    from faceemo.inference.engine.jax_engine import JaxEngine
    from faceemo.train.checkpoint.trained_model import TrainedModel


class Predictor:
    """A trained network that predicts on images of any size.

    Threads can share a predictor. It can be pickled for another process, if that is spawned: JAX
    and onnxruntime do not work in a process forked from one that uses them, so every method raises
    a `UserError` there.

    Attributes:
        network: What is known of the network.
        engine: What computes its logits.
        classes: The names of the classes, in the order of the probabilities.
        finder: The finder of faces.
    """

    def __init__(
        self,
        network: NetworkFacts,
        *,
        engine: "OnnxEngine | JaxEngine | None" = None,
        face_threshold: float | None = None,
        min_face: float | None = None,
        check_faces: bool = True,
        search_engine: str = AUTO,
        search_interval: float = INTERVAL,
    ):
        """Takes a network and the options of the search for faces, see `load`.

        Args:
            network: A `TrainedModel`, or beside an engine any `NetworkFacts`.
            engine: What computes the network's logits; None makes the engine of JAX.
            face_threshold: See `load`.
            min_face: See `load`.
            check_faces: See `load`.
            search_engine: What searches for faces, see `detector.choose`.
            search_interval: See `load`.

        Raises:
            UserError: If an option is out of range.
        """
        check_interval(search_interval)
        if engine is None:
            from faceemo.inference.engine.jax_engine import JaxEngine

            engine = JaxEngine(network.load_trained())
        config = network.config
        self.network, self.engine = network, engine
        self.classes = network.classes
        self._options: dict[str, Any] = {
            "face_threshold": face_threshold,
            "min_face": min_face,
            "check_faces": check_faces,
            "search_engine": search_engine,
            "search_interval": search_interval,
        }
        self._interval = search_interval
        self.finder = FaceFinder(
            network.image_format,
            config.face_threshold,
            exact=config.exact_screening,
            other_threshold=face_threshold,
            min_face=min_face,
            check=check_faces,
            engine=search_engine,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the network, its engine and the options; programs are compiled anew."""
        options = self._options | {"engine": self.engine}
        return functools.partial(Predictor, **options), (self.network,)

    @functools.cached_property
    def trained(self) -> "TrainedModel":
        """The network with its arrays, which explanations need; they may be read only now.

        Raises:
            UserError: If it has changed on the disk meanwhile.
        """
        return self.network.load_trained()

    def predict(self, images: Any, *, crops: bool = False) -> list[Prediction]:
        """Finds the faces in images and predicts their emotions.

        Args:
            images: One or many: paths of images, films or folders, open files, PIL images, or uint8
                arrays of NumPy, JAX, TensorFlow or PyTorch, [H, W] or [H, W, 1] (grey), [H, W, 3]
                (red, green, blue), [H, W, 4] (with transparency, which is ignored), batches
                [N, H, W], [N, H, W, C] or [N, C, H, W]; or lists of these.
            crops: Whether every image is a face crop, so that no face is searched for.

        Returns:
            One prediction per face, in the order of the images and from left to right; for an image
            without a face one with the status 'no_face'; for an image that cannot be read one with
            the status 'unreadable' and the reason as its `problem`. Each frame of a film is an
            image.

        Raises:
            UserError: If something is not an image in any of these forms, or a path does not exist.
        """
        predictions: list[Prediction] = []
        for _, found in self.stream(load_images(images), crops=crops):
            predictions += found
        return predictions

    def stream(
        self, images: Iterable[LoadedImage], *, crops: bool = False, immediate: bool = False
    ) -> Iterator[tuple[LoadedImage, list[Prediction]]]:
        """Predicts on any number of images, in constant memory.

        Args:
            images: Images of `images.load_images` or `video.Video.read_frames`.
            crops: Whether every image is a face crop, so that no face is searched for.
            immediate: Whether each image's predictions are yielded before the next image is taken,
                as a webcam needs; otherwise images wait for a batch to fill.

        Yields:
            Every image with its predictions, of which there is at least one. In a film, the
            predictions for one face have the same `track`.
        """
        yield from track_films(self._stream(images, crops=crops, immediate=immediate))

    def _stream(
        self, images: Iterable[LoadedImage], *, crops: bool, immediate: bool
    ) -> Iterator[tuple[LoadedImage, list[Prediction]]]:
        """Predicts as `stream`, without the numbers of tracks."""
        forks.refuse_forked_process()
        if crops and not immediate:
            yield from predict_crops(images, self.finder, self.predict_faces)
            return
        found_in = find_in_stream(
            images,
            self.finder,
            functools.partial(self.find_faces, crops=crops),
            interval=None if crops else self._interval,
            immediate=immediate,
        )
        for batch in gather_faces(found_in, immediate=immediate):
            yield from self.predict_faces(batch)

    def predict_faces(
        self, found: Sequence[tuple[LoadedImage, list[Face]]]
    ) -> Iterator[tuple[LoadedImage, list[Prediction]]]:
        """Predicts on the faces of several images together.

        Args:
            found: Images with the faces that `find_faces` found in them.

        Yields:
            Every image with its predictions, as `stream`.
        """
        crops = [face.crop for _, faces in found for face in faces]
        rows = iter(self.probabilities(np.stack(crops)) if crops else ())
        for image, faces in found:
            probabilities = itertools.islice(rows, len(faces))
            predictions = [
                Prediction.from_probabilities(
                    image.index,
                    image.name,
                    dict(zip(self.classes, map(float, row), strict=True)),
                    face.box,
                    face.confidence,
                    region=face.region,
                    time=image.time,
                    doubt=face.doubt,
                )
                for face, row in zip(faces, probabilities, strict=True)
            ]
            about = image.index, image.name
            if image.pixels is None:
                predictions = [Prediction.unreadable(*about, image.problem, image.time)]
            elif not predictions:
                predictions = [Prediction.without_face(*about, image.time)]
            yield image, predictions

    def find_faces(self, image: LoadedImage, *, crops: bool = False) -> list[Face]:
        """Finds the faces of an image and checks them; none in one that cannot be decoded.

        Their boxes and regions are in pixels of the upright image as it is stored.

        Args:
            image: The image.
            crops: Whether the image is a face crop, so that no face is searched for.
        """
        forks.refuse_forked_process()
        if image.pixels is None:
            return []
        if crops:
            return find_in_crops([image], self.finder)[0]
        faces = self.finder.find(image.pixels)
        return [face.scale(image.pixels.reduction) for face in faces]

    def probabilities(self, crops: np.ndarray) -> np.ndarray:
        """Computes calibrated probabilities float32 [N, C].

        Args:
            crops: Faces in the network's format: uint8 [N, S, S], S the run's native size, or
                [N, S, S, 3] (RGB) for a network that sees colour.

        Raises:
            UserError: If crops in colour are given to a network that sees grey, or the reverse.
        """
        form = self.network.image_format
        if crops.ndim != 1 + len(form.shape):
            raise UserError(
                expected=f"crops of {form}, [N, {', '.join(map(str, form.shape))}]",
                found=f"an array {list(crops.shape)}",
                fix="give the images to predict(images, crops=True), which converts them",
            )
        forks.refuse_forked_process()
        batches = range(0, len(crops), MAX_BATCH)
        logits = [self.engine.logits(crops[start : start + MAX_BATCH]) for start in batches]
        none = np.zeros((0, len(self.classes)), np.float32)
        return calibrate(np.concatenate([none, *logits]), self.network.temperature)


def load(
    path: str | Path,
    *,
    face_threshold: float | None = None,
    min_face: float | None = None,
    classes: Sequence[str] | None = None,
    engine: str = AUTO,
    check_faces: bool = True,
    search_interval: float = INTERVAL,
) -> Predictor:
    """Loads a predictor with everything that it needs from a run or a stored network.

    Args:
        path: A run's folder, a stored network's file or folder
            (`faceemo.train.checkpoint.trained_model`), or `trained_model.BUILTIN`.
        face_threshold: Confidence of the detector above which a detection is a face, from 0 to
            below 1; None takes the threshold of the network's training images.
        min_face: Height in pixels, at least `face_search.MIN_FACE`, of the smallest faces. Photos
            are searched for faces of this height, and smaller ones are left out. None searches for
            faces from the height of the network's training images on (twice that where a photo is
            read halved, see `decode`), and keeps smaller ones that are found all the same.
        classes: Some of the network's classes, to which its predictions are restricted: the
            probabilities of the others are left out, and the rest add up to 1. None keeps all.
        engine: What runs the network: 'jax', 'onnx' (onnxruntime), or 'auto', which takes
            onnxruntime where it is installed and gives the same probabilities, see
            `faceemo.inference.engine.choose`. The face detector is run by onnxruntime as well, or
            by OpenCV, see `faceemo.inference.detector.choose`.
        check_faces: Whether each face is checked (`face_check`): what is none is left out, and the
            status of one that is unclear, turned, blurred or too small is 'unsure'. Otherwise the
            probabilities alone decide.
        search_interval: Seconds of a film after which a frame is searched for all faces again; in
            the frames between, those of the frame before are followed, see `film.following`. With 0
            every frame is searched.

    Raises:
        UserError: If there is no trained network, or it is damaged; if an option is out of range;
            if the network has no such class; if this process was forked from one that uses JAX or
            onnxruntime; if onnxruntime is demanded and cannot run the network.
    """
    forks.refuse_forked_process()
    network, chosen = choose(Path(path), engine, classes)
    return Predictor(
        network,
        engine=chosen,
        face_threshold=face_threshold,
        min_face=min_face,
        check_faces=check_faces,
        search_engine=engine,
        search_interval=search_interval,
    )
