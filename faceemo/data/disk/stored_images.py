"""The images of a split in array_record files, decoded when they are taken."""

import bisect
import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from faceemo.data.disk import example
from faceemo.data.disk.example import Example
from faceemo.errors import UserError

_CHUNK = 1024  # images that are taken at once where all are needed


@dataclasses.dataclass(frozen=True, eq=False)
class StoredImages:
    """Images on disk, which stand in the place of an array uint8 [N, S, S] or [N, S, S, 3].

    Indexing decodes images and returns arrays in memory. Objects can be sent to other processes.

    Attributes:
        files: Path of each array_record file, and the number of images in it.
        shape: [N, S, S] in grey, [N, S, S, 3] in colour.
        digest: sha256 of all pixels, in hex.
        labelled_digest: sha256 of all pixels and labels, in hex (`provenance.digest_split`).
        colourless: Number of images in colour whose three channels are equal.
        divided: Whether hosts may lack files of the parts that other hosts read, so that only the
            first process can take any image.
    """

    files: tuple[tuple[str, int], ...]
    shape: tuple[int, ...]
    digest: str = ""
    labelled_digest: str = ""
    colourless: int = 0
    divided: bool = False

    dtype = np.dtype(np.uint8)

    def __post_init__(self):
        if sum(count for _, count in self.files) != len(self):
            raise ValueError(f"{len(self)} images, but {self.files}")

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """Number of dimensions, 3 in grey and 4 in colour."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the decoded images would take in memory."""
        return int(np.prod(self.shape))

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Decodes images.

        Args:
            rows: A position, a slice, or an array of positions of any shape, as for an array.

        Returns:
            The image uint8 [S, S(, 3)], or images in the shape of `rows`.

        Raises:
            UserError: If a file is missing or damaged; the message names it.
        """
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        rows = np.asarray(rows)
        images = np.empty((rows.size, *self.shape[1:]), np.uint8)
        for place, row in enumerate(rows.ravel().tolist()):
            images[place] = self.decode(range(len(self))[row])
        return images.reshape(*rows.shape, *self.shape[1:])

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Decodes images as indexing does; rows of padding, -1, become zeros."""
        images = np.zeros((*rows.shape, *self.shape[1:]), np.uint8)
        images[rows >= 0] = self[rows[rows >= 0]]
        return images

    def __iter__(self) -> Iterator[np.ndarray]:
        return itertools.chain.from_iterable(self.chunks())

    def chunks(self) -> Iterator[np.ndarray]:
        """Yields all images in order, many at a time: uint8 [n, S, S(, 3)]."""
        for start in range(0, len(self), _CHUNK):
            yield self[start : start + _CHUNK]

    def decode(self, row: int, found: Example | None = None) -> np.ndarray:
        """Decodes one image: uint8 [S, S] or [S, S, 3].

        Args:
            row: Its position, from 0.
            found: What `read` has returned for it, if it has been read.
        """
        found = found or self.read(row)
        try:
            return example.decode(found.image, self.shape[1:])
        except ValueError as error:
            raise self._refuse(row, error) from error

    def read(self, row: int) -> Example:
        """Reads what is stored of an image; `row` is from 0.

        Raises:
            UserError: If its file is missing or damaged; the message names it.
        """
        try:
            return example.parse(self._source[row])
        # array_record knows one type of error
        except (RuntimeError, ValueError, OSError, IndexError) as error:
            raise self._refuse(row, error) from error

    def find_files(self, rows: np.ndarray) -> tuple[str, ...]:
        """Returns the paths of the files that hold some images; `rows` are their positions."""
        ends = np.cumsum([count for _, count in self.files])
        numbers = np.unique(np.searchsorted(ends, rows, side="right"))
        return tuple(self.files[number][0] for number in numbers)

    @functools.cached_property
    def _source(self) -> Sequence[bytes]:
        """The records of all files, which are opened when they are first read."""
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        # The number of records need not be looked up in the files then.
        return ArrayRecordDataSource([f"{path}[0:{count}]" for path, count in self.files])

    def _refuse(self, row: int, error: Exception) -> UserError:
        if isinstance(error, UserError):
            return error
        ends = list(itertools.accumulate(count for _, count in self.files))
        number = bisect.bisect_right(ends, row)
        path, count = self.files[number]
        folder = path.rpartition("/face_emotions/")[0] or path
        reason = " ".join(str(error).split())[:200]
        return UserError(
            expected=f"image {row - ends[number] + count + 1:,} of the {count:,} images in {path}",
            found=f"a file that is damaged or cannot be read ({reason})",
            fix=f"remove the folder {folder}, which is then built again from the prepared images",
        )


# Images in memory, or on disk.
Images = np.ndarray | StoredImages


def take(images: Images, rows: np.ndarray) -> np.ndarray:
    """Takes rows of an array or of stored images; rows of padding, -1, become zeros.

    Args:
        images: [N, ...].
        rows: Positions from 0, or -1, int of any shape.

    Returns:
        A new array in the shape of `rows`, followed by that of one image.
    """
    if isinstance(images, StoredImages):
        return images.take(rows)
    taken = images[rows]
    taken[rows < 0] = 0
    return taken


def chunks(images: Images) -> Iterator[np.ndarray]:
    """Yields all images in order, many at a time: arrays [n, ...] that are not to be changed."""
    if isinstance(images, StoredImages):
        yield from images.chunks()
    else:
        for start in range(0, len(images), _CHUNK):
            yield images[start : start + _CHUNK]
