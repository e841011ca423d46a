"""Builds a TensorFlow dataset (array_record) of unique_images, and loads the splits in it.

Importing this module imports TFDS, which takes a second; callers import it in functions.
"""

import contextlib
import hashlib
import io
import json
import math
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tqdm import tqdm

from faceemo import staging
from faceemo.config import CLASSES, SPLITS
from faceemo.config.field_words import spell
from faceemo.config.image_format import ImageFormat
from faceemo.data.disk import whole_split
from faceemo.data.disk.stored_images import StoredImages
from faceemo.data.ledger import ledger, losses
from faceemo.data.measure.decode import read_image
from faceemo.data.pipeline import Split
from faceemo.data.prepare import folders
from faceemo.data.source import archive
from faceemo.data.votes.arrays import make_votes
from faceemo.errors import UserError, escape_name

FOLDER = "tfds"


class FaceEmotions(tfds.core.GeneratorBasedBuilder):
    """Examples of an image, its label and its path below the source.

    Images are uint8 [S, S, 1] in grey, [S, S, 3] in colour.

    TFDS stores paths as UTF-8, so bytes of names that are none are escaped (`escape_name`).
    """

    VERSION = tfds.core.Version("1.0.0")  # to be raised when `read_image` returns other pixels
    # TFDS would look for a file of checksums here, beside the code. There is none, and the search
    # needs importlib_resources, which TFDS 4.9.10 does not declare for this Python.
    code_path = None

    def __init__(
        self,
        *,
        source: Path,
        paths: Sequence[str],
        form: ImageFormat,
        classes: Sequence[str] = CLASSES,
        **kwargs: Any,
    ):
        """Initialises the builder of a dataset of some files.

        Args:
            source: Folder that holds <split>/<class>/<image>.
            paths: Paths of the images below `source`, in the order in which they are stored.
            form: Format in which the images are stored.
            classes: Class names in the order of the labels.
            **kwargs: Arguments of TFDS: data_dir, file_format.
        """
        self._source, self._paths, self.form = source, paths, form
        self.classes = tuple(classes)
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Faces with an emotion each, from a folder of the user's.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=self.form.shape if self.form.in_colour else (*self.form.shape, 1),
                        dtype=np.uint8,
                        encoding_format="png",
                    ),
                    "label": tfds.features.ClassLabel(names=list(self.classes)),
                    "path": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        present = {path.partition("/")[0] for path in self._paths}
        return {split: self._generate_examples(split) for split in SPLITS if split in present}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        paths = tqdm(self.list_paths(split), desc=f"building {split}", disable=None)
        for key, path in enumerate(paths):
            # Encoded here because TFDS would leave it to TensorFlow, which takes ten times as long.
            png = io.BytesIO()
            image = read_image(self._source / path, self.form)
            Image.fromarray(image).save(png, "PNG", compress_level=1)
            png.seek(0)
            yield key, {"image": png, "label": path.split("/")[1], "path": escape_name(path)}

    def list_paths(self, split: str) -> list[str]:
        """Returns the paths of a split's images as they are below the source, in their order."""
        return [path for path in self._paths if path.startswith(f"{split}/")]


def load(
    root: Path,
    form: ImageFormat,
    classes: Sequence[str] = CLASSES,
    memory: float = float("inf"),
) -> dict[str, Split]:
    """Loads the images of root/unique_images by way of a TensorFlow dataset in root/tfds.

    The dataset is built if there is none of exactly these files and this format; datasets of other
    files are removed.

    Args:
        root: The dataset's folder, after `faceemo.data.prepare.prepare`.
        form: Format of the decoded images.
        classes: Class names in the order of the labels.
        memory: Bytes that the decoded images of all splits may take. If they would take more, they
            stay on disk (`StoredImages`).

    Returns:
        The splits 'train', 'validation' and 'test' (empty if there is none), ordered by path. In
        memory, a grey image of 48x48 pixels takes 2.3 kB, one of 100x100 pixels in colour 30 kB.

    Raises:
        UserError: If the folder is missing, has no validation images, does not consist of splits
            and classes, or holds a file that is not an image (the message names it).
    """
    source = root / folders.UNIQUE
    if not source.is_dir():
        raise UserError(
            expected=f"prepared images in {source}",
            found="no such folder",
            fix="run faceemo prepare, which makes it",
        )
    hashes = {
        path: sha256
        for path, sha256 in archive.hash_images(source).items()
        if path.split("/")[1] in classes
    }
    _check_train(root, hashes, classes)
    if not any(path.startswith("validation/") for path in hashes):
        raise UserError(
            expected=f"images in {source / 'validation'}",
            found="none",
            fix="scripts/show_ledger.py --split validation prints why each image was left out; "
            f"{spell('policy', 'keep')} keeps all that can be decoded",
        )
    digest = hashlib.sha256(json.dumps([*classes, hashes]).encode()).hexdigest()[:16]
    # The digest is part of the folder's name, so that no stale dataset is ever read.
    colour = "_rgb" if form.in_colour else ""
    data_dir = root / FOLDER / f"{digest}_{form.size}px{colour}"
    with staging.locked(root):
        _remove_stale(data_dir.parent, digest)
        builder = FaceEmotions(
            source=source,
            paths=tuple(hashes),
            form=form,
            classes=classes,
            data_dir=str(data_dir),
            file_format="array_record",
        )
        # TFDS gives the folder this name once it is complete, and another one until then.
        if not Path(builder.data_dir).exists():
            if data_dir.exists():
                shutil.rmtree(data_dir)  # left by an interrupted build
            # TFDS announces a download although there is none, and writes its bars to log files.
            tfds.disable_progress_bar()
            with contextlib.redirect_stdout(io.StringIO()):
                builder.download_and_prepare(
                    download_config=tfds.download.DownloadConfig(try_download_gcs=False)
                )
            print(f"dataset: {len(hashes):,} images built -> {builder.data_dir}")
        voted = {row.path: row for row in _read_rows(root) if row.votes is not None}
        stays = len(hashes) * math.prod(form.shape) > memory
        splits = {split: _open_split(builder, split, voted, stays) for split in SPLITS}
        return whole_split.place(splits, memory)


def _check_train(root: Path, paths: Collection[str], classes: Sequence[str]) -> None:
    """Raises a UserError that says what became of a class without an image in train."""
    present = {path.rpartition("/")[0] for path in paths}
    missing = [label for label in classes if f"train/{label}" not in present]
    if not missing:
        return
    rows = _read_rows(root)
    lost = [losses.describe_emptied(rows, "train", label) for label in missing]
    found = "; ".join(f"it left out {words}" for words in lost if words)
    found = found or f"none in {root / folders.UNIQUE / 'train' / missing[0]}"
    raise UserError(
        expected=f"training images of {', '.join(missing)} after the preparation",
        found=found,
        fix=f"replace files that cannot be read; {spell('face_threshold', 0)} or "
        f"{spell('policy', 'keep')} keeps images without a detected face; or leave the class out "
        f"of {spell('classes')}",
    )


def _read_rows(root: Path) -> list[ledger.Row]:
    return ledger.read(root) if (root / ledger.NAME).is_file() else []


def _remove_stale(folder: Path, digest: str) -> None:
    """Deletes the datasets that were built from other files."""
    for other in folder.glob("*"):
        if not other.name.startswith(digest):
            shutil.rmtree(other)


def _open_split(
    builder: FaceEmotions, name: str, voted: Mapping[str, ledger.Row], stays: bool
) -> Split:
    """Returns a split with its images on disk, and with the votes on them if there are any at all.

    Args:
        builder: The dataset, which is built.
        name: Name of the split.
        voted: The rows of the ledger with votes, by path.
        stays: Whether the images will stay there, for which they are surveyed.
    """
    paths = builder.list_paths(name)
    labels = np.array([builder.classes.index(path.split("/")[1]) for path in paths], np.int32)
    info: Any = builder.info.splits.get(name)  # TFDS has no split without images
    files = zip(info.filepaths, info.shard_lengths, strict=True) if info else ()
    images = StoredImages(
        tuple((str(path), count) for path, count in files), (len(paths), *builder.form.shape)
    )
    if stays:
        record = Path(builder.data_dir).parents[1] / f"{name}.json"
        images = whole_split.survey(images, labels, paths, record)
    votes = None
    if voted:
        rows = [voted.get(path) for path in paths]
        votes = make_votes(
            [row and row.votes for row in rows],
            [row and row.given_label for row in rows],
            builder.classes,
        )
    return Split(images, labels, tuple(paths), builder.classes, votes)
