"""The dataset: unique_images as a TensorFlow dataset (array_record), and in memory.

Importing this module brings TensorFlow along; callers do it where they need it.
"""

import contextlib
import hashlib
import io
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tqdm import tqdm

from faceemo import staging
from faceemo.config import CLASSES, SPLITS
from faceemo.data.measure.decode import read_grey
from faceemo.data.pipeline import Split
from faceemo.data.prepare import folders
from faceemo.data.source import archive
from faceemo.errors import UserError

FOLDER = "tfds"


class FaceEmotions(tfds.core.GeneratorBasedBuilder):
    """Grey faces: image uint8 [S, S, 1], label, path below the source."""

    VERSION = tfds.core.Version("1.0.0")  # change it when `read_grey` gives other pixels
    # Where TFDS looks for a file of checksums beside the code. There is none, and the search needs
    # importlib_resources, which TFDS 4.9.10 does not declare for this Python.
    code_path = None

    def __init__(
        self,
        *,
        source: Path,
        paths: Sequence[str],
        native_size: int,
        classes: Sequence[str] = CLASSES,
        **kwargs: Any,
    ):
        """A builder for some files.

        Args:
            source: folder that holds <split>/<class>/<image>.
            paths: of the images, below source, in the order in which they are stored.
            native_size: side at which they are stored, pixels.
            classes: names of the labels, in their order.
            **kwargs: for TFDS: data_dir, file_format.
        """
        self._source, self._paths, self.native_size = source, paths, native_size
        self.classes = tuple(classes)
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Grey faces with an emotion each, from a folder of the user's.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(self.native_size, self.native_size, 1),
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
        paths = [path for path in self._paths if path.startswith(f"{split}/")]
        for key, path in enumerate(tqdm(paths, desc=f"building {split}", disable=None)):
            # Encoded here, and fast: left to TFDS, TensorFlow would do it at ten times the cost.
            png = io.BytesIO()
            image = read_grey(self._source / path, self.native_size)
            Image.fromarray(image).save(png, "PNG", compress_level=1)
            png.seek(0)
            yield key, {"image": png, "label": path.split("/")[1], "path": path}


def load(root: Path, native_size: int, classes: Sequence[str] = CLASSES) -> dict[str, Split]:
    """The images in root/unique_images, decoded, by way of a TensorFlow dataset in root/tfds.

    The dataset is built if there is none for exactly these files and this size; what was built
    for other files is removed.

    Args:
        root: folder of the dataset, prepared (`faceemo.data.prepare.prepare`).
        native_size: side of the images, pixels.
        classes: what the labels are, in this order.

    Returns:
        'train', 'validation' and 'test' (empty if there is none), ordered by path; 48x48
        images take 2.3 kB each.

    Raises:
        UserError: if the folder is missing, not made of splits and classes, or holds a file that
            is no image (the message names it).
    """
    source = root / folders.UNIQUE
    if not source.is_dir():
        raise UserError(
            expected=f"prepared images in {source}",
            found="no such folder",
            fix="run scripts/remove_duplicates.py",
        )
    hashes = archive.hashes(source, classes)
    if not any(path.startswith("validation/") for path in hashes):
        raise UserError(
            expected=f"images in {source / 'validation'}",
            found="none",
            fix="see in ledger.jsonl why none is kept; policy=keep keeps what can be decoded",
        )
    digest = hashlib.sha256(json.dumps([*classes, hashes]).encode()).hexdigest()[:16]
    # Part of the folder's name, so that nothing stale is ever read.
    data_dir = root / FOLDER / f"{digest}_{native_size}px"
    with staging.alone(root):
        _remove_others(data_dir.parent, digest)
        builder = FaceEmotions(
            source=source,
            paths=tuple(hashes),
            native_size=native_size,
            classes=classes,
            data_dir=str(data_dir),
            file_format="array_record",
        )
        # TFDS gives the folder this name when it is finished, and another one until then.
        if not Path(builder.data_dir).exists():
            if data_dir.exists():
                shutil.rmtree(data_dir)  # what an interrupted build left
            # TFDS announces a download where there is none, and shows its bars to log files too.
            tfds.disable_progress_bar()
            with contextlib.redirect_stdout(io.StringIO()):
                builder.download_and_prepare(
                    download_config=tfds.download.DownloadConfig(try_download_gcs=False)
                )
            print(f"dataset: {len(hashes):,} images built -> {builder.data_dir}")
        return {split: _decode(builder, split) for split in SPLITS}


def _remove_others(folder: Path, digest: str) -> None:
    """Deletes what was built from other files."""
    for other in folder.glob("*"):
        if not other.name.startswith(digest):
            shutil.rmtree(other)


def _decode(builder: FaceEmotions, split: str) -> Split:
    """All images of a split."""
    # TFDS does not know a split without images
    examples = builder.as_data_source(split) if split in builder.info.splits else ()
    side = builder.native_size
    images = np.empty((len(examples), side, side), np.uint8)
    labels = np.empty(len(examples), np.int32)
    paths = []
    for row, example in enumerate(examples):
        images[row] = example["image"][..., 0]
        labels[row] = example["label"]
        paths.append(example["path"].decode())
    return Split(images, labels, tuple(paths), builder.classes)
