"""What a film shows of each face: when, and which emotion for which share of the time."""

import array
import csv
import dataclasses
import io
from collections.abc import Sequence

import numpy as np

from faceemo.inference.prediction import UNSURE, Prediction


@dataclasses.dataclass(frozen=True)
class Track:
    """One face of a film.

    Attributes:
        number: Its number, the `track` of its predictions.
        begin: The time at which it is first seen, seconds.
        end: The time from which it is not seen any more, seconds.
        seconds: How long it is seen.
        frames: The number of frames in which it is seen.
        shares: The share of `seconds` for each class, and for 'unsure'; the sum is 1.
    """

    number: int
    begin: float
    end: float
    seconds: float
    frames: int
    shares: dict[str, float]


class FilmRecord:
    """The predictions for a film, of which it keeps some bytes per face.

    Args:
        classes: The predictor's classes.
        step: The seconds for which the last frame is shown; any other is shown until the next one.
    """

    def __init__(self, classes: Sequence[str], step: float):
        self.classes = (*classes, UNSURE)
        self._step = step
        self._times = array.array("d")
        # of each face: its frame, its track, and its label among `classes`
        self._faces = array.array("l")

    def add(self, time: float, predictions: Sequence[Prediction]) -> None:
        """Adds the predictions for the next frame."""
        frame = len(self._times)
        self._times.append(time)
        for one in predictions:
            if one.track is not None:
                label = self.classes.index(one.label or UNSURE)
                self._faces.extend((frame, one.track, label))

    @property
    def frames(self) -> int:
        """The number of frames."""
        return len(self._times)

    @property
    def end(self) -> float:
        """The end of the film, seconds."""
        return self._times[-1] + self._step if self._times else 0.0

    def list_spans(self) -> np.ndarray:
        """Returns a row for each face of each frame, float64 [N, 4].

        Its columns are the track, the label as an index of `classes`, and the seconds from which
        and until which the frame is shown.
        """
        faces = np.array(self._faces, np.int64).reshape(-1, 3)
        times = np.array([*self._times, self.end])
        begin, end = times[faces[:, 0]], times[faces[:, 0] + 1]
        return np.stack([faces[:, 1], faces[:, 2], begin, end], axis=1).astype(float)

    def summarise(self) -> list[Track]:
        """Returns the faces of the film, by number."""
        spans = self.list_spans()
        tracks = []
        for number in np.unique(spans[:, 0]):
            own = spans[spans[:, 0] == number]
            lengths = own[:, 3] - own[:, 2]
            sums = np.bincount(own[:, 1].astype(int), lengths, len(self.classes))
            shares = dict(zip(self.classes, (sums / lengths.sum()).tolist(), strict=True))
            begin, end = float(own[0, 2]), float(own[-1, 3])
            tracks.append(Track(int(number), begin, end, float(lengths.sum()), len(own), shares))
        return tracks

    def compute_shares(self, number: int, edges: np.ndarray) -> np.ndarray:
        """Computes what a face shows in each part of the film.

        Args:
            number: The number of the face.
            edges: The edges of the parts, float [P + 1], seconds.

        Returns:
            For each part and each of `classes`, the share of the part, float64 [P, C]; the rest is
            the share in which the face is not seen.
        """
        spans = self.list_spans()
        spans = spans[spans[:, 0] == number]
        shares = np.zeros((len(edges) - 1, len(self.classes)))
        for _, label, begin, end in spans:
            covered = np.minimum(end, edges[1:]) - np.maximum(begin, edges[:-1])
            shares[:, int(label)] += np.maximum(covered, 0)
        return shares / np.diff(edges)[:, None]


def format_csv(tracks: Sequence[Track], classes: Sequence[str]) -> str:
    """Formats a table with a row per face; the last columns are the shares of `classes`."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["track", "begin", "end", "seconds", "frames", *classes])
    for one in tracks:
        seconds = (f"{value:.3f}" for value in (one.begin, one.end, one.seconds))
        shares = (f"{one.shares[name]:.4f}" for name in classes)
        writer.writerow([one.number, *seconds, one.frames, *shares])
    return table.getvalue()
