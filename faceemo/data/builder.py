"""Builds a TensorFlow dataset (array_record) of unique_images, and loads the splits in it.

Importing this module imports TFDS, which takes a second; callers import it in functions.
"""

import contextlib
import functools
import hashlib
import io
import json
import math
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import dataset_builder, example_serializer

from faceemo import staging
from faceemo.config import CLASSES, SPLITS
from faceemo.config.field_words import spell
from faceemo.config.image_format import ImageFormat
from faceemo.data import shards
from faceemo.data.disk import whole_split
from faceemo.data.disk.stored_images import StoredImages
from faceemo.data.ledger import ledger, losses
from faceemo.data.measure.decode import read_image
from faceemo.data.pipeline import Split
from faceemo.data.prepare import folders
from faceemo.data.source import archive, votes_by_path
from faceemo.data.votes.arrays import make_votes
from faceemo.errors import UserError, escape_name

FOLDER = "tfds"
PARTS = "parts"  # folder of a build's whole files until it is finished
_FAST = (cv2.IMWRITE_PNG_COMPRESSION, 1)


class FaceEmotions(dataset_builder.FileReaderBuilder):
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

    def _download_and_prepare(self, dl_manager: Any, download_config: Any = None) -> None:
        """Writes the files of all splits.

        TFDS's own writer would start anew after a kill, and hold all records in memory if there is
        more than a gigabyte of them.
        """
        parts = Path(self.data_dir).parents[1] / PARTS
        parts.mkdir(exist_ok=True)
        infos = []
        for split in SPLITS:
            paths = self.list_paths(split)
            files = shards.write(parts, split, paths, self._make_record)
            size = sum(file.stat().st_size for file in files)
            template = self._get_filename_template(split_name=split)
            for number, file in enumerate(files):
                file.replace(template.sharded_filepath(shard_index=number, num_shards=len(files)))
            if files:
                lengths = [shards.RECORDS] * (len(files) - 1)
                lengths.append(len(paths) - sum(lengths))
                info = tfds.core.SplitInfo(
                    name=split, shard_lengths=lengths, num_bytes=size, filename_template=template
                )
                infos.append(info)
        self.info.set_splits(tfds.core.splits.SplitDict(infos))
        parts.rmdir()

    def _make_record(self, path: str) -> bytes:
        """Makes the record of an image."""
        image = read_image(self._source / path, self.form)
        if self.form.in_colour:
            image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        # Encoded here because TFDS would leave it to TensorFlow, which takes ten times as long; by
        # OpenCV because it lets other threads work meanwhile.
        png = io.BytesIO(cv2.imencode(".png", image, _FAST)[1].tobytes())
        example = {"image": png, "label": path.split("/")[1], "path": escape_name(path)}
        encoded = self.info.features.encode_example(example)
        # a map, whose order would otherwise differ from process to process
        return self._serializer.get_tf_example(encoded).SerializeToString(deterministic=True)

    @functools.cached_property
    def _serializer(self) -> example_serializer.ExampleSerializer:
        return example_serializer.ExampleSerializer(self.info.features.get_serialized_info())

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
            _remove_unfinished(data_dir)
            # TFDS announces a download although there is none, and writes its bars to log files.
            tfds.disable_progress_bar()
            with contextlib.redirect_stdout(io.StringIO()):
                builder.download_and_prepare(
                    download_config=tfds.download.DownloadConfig(try_download_gcs=False)
                )
            print(f"dataset: {len(hashes):,} images built -> {builder.data_dir}")
        # without votes, the rows of a large set are not worth their memory
        rows = _read_rows(root) if (root / votes_by_path.NAME).exists() else ()
        voted = {row.path: row for row in rows if row.votes is not None}
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


def _remove_unfinished(data_dir: Path) -> None:
    """Deletes what a killed build left, except its whole files, which are not written again."""
    for other in data_dir.glob("*"):
        if other.name != PARTS:
            shutil.rmtree(other) if other.is_dir() else other.unlink()


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
