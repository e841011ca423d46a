"""A zip of synthetic colour images, as large as published sets, with planted duplicates.

Each image is smooth random shades over a template that all share, and noise. The weight of the
template was chosen so that pairs of unrelated images have near difference hashes about as often as
those of FER2013, 5 in a million: the search for duplicates has as much to compare as with faces.
"""

import dataclasses
import zipfile
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

SIDE = 112  # pixels
CLASSES = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
# Of 200 images, these are versions of the one 100 before, and in another split where they can be.
_VERSIONS = {0: "equal file", 50: "compressed again", 100: "compressed again", 150: "mirrored"}
_PERIOD = 200
ARCH = "mobilenet"  # the network that trains on them
_TEMPLATE_WEIGHT = 1.4
_QUALITY = 90


@dataclasses.dataclass
class Planted:
    """Paths of the images, and which of them are versions of others.

    Attributes:
        paths: Path of each image in the zip, in order.
        versions: The kind of version, by path; all leave one image of two.
    """

    paths: list[str] = dataclasses.field(default_factory=list)
    versions: dict[str, str] = dataclasses.field(default_factory=dict)


def write_zip(path: Path, count: int, seed: int = 0) -> Planted:
    """Writes the zip and returns what is in it; the same numbers give the same images.

    Args:
        path: Path of the zip.
        count: Number of images, versions included.
        seed: Seed of everything that is drawn.
    """
    planted = Planted()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as target:
        for number in tqdm(range(count), "draw", disable=None, unit="image"):
            kind = _VERSIONS.get(number % _PERIOD) if number >= _PERIOD else None
            original = number - _PERIOD // 2 - 1 if kind else number
            content = _encode(draw(original, seed), _QUALITY)
            if kind and kind != "equal file":
                image = draw(original, seed)
                content = _encode(image[:, ::-1] if kind == "mirrored" else image, 75)
            split = "validation" if number % 40 == 7 else "test" if number % 40 == 8 else "train"
            name = f"{split}/{CLASSES[original % len(CLASSES)]}/{number:07}.jpg"
            target.writestr(zipfile.ZipInfo(name), content)
            planted.paths.append(name)
            if kind:
                planted.versions[name] = kind
    return planted


def draw(number: int, seed: int) -> np.ndarray:
    """Draws image `number`, uint8 [112, 112, 3]."""
    rng = np.random.default_rng([seed, number])
    low = rng.normal(0, 1, (7, 7, 1)) + 0.4 * rng.normal(0, 1, (7, 7, 3))
    low = low + _TEMPLATE_WEIGHT * _make_template()
    smooth = cv2.resize(low.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    noise = 9 * rng.standard_normal((SIDE, SIDE, 1), np.float32)
    return np.clip(128 + 34 * smooth + noise, 0, 255).astype(np.uint8)


def _make_template() -> np.ndarray:
    """Draws what all images share, float64 [7, 7, 1]."""
    return np.random.default_rng(7).normal(0, 1, (7, 7, 1))


def _encode(image: np.ndarray, quality: int) -> bytes:
    return cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))[1].tobytes()


def training_fields(root: Path, source: Path, image_size: int) -> dict[str, object]:
    """Returns the fields of a training from disk, in which all blocks of the network train."""
    return {
        "data_dir": root,
        "source": source,
        "classes": "+".join(CLASSES),
        "screen": "no",
        "channels": "rgb",
        "native_size": SIDE,
        "image_size": image_size,
        "memory_share": 0,
        "weights": "none",
        "unfreeze": "all",
        "batch_size": 32,
        "steps_per_epoch": 12,
        "epochs": 3,
    }


def spell_fields(fields: dict[str, object]) -> str:
    """Writes a configuration as the command line takes it."""
    return ",".join(["7", *(f"{name}={value}" for name, value in fields.items())])
