"""Measures what the check of faces does: on damaged faces of FER2013, and on what is no face.

    pip install scikit-image
    python scripts/evaluate_face_check.py builtin --data-dir data_ferplus --non-faces animals/
    python scripts/evaluate_face_check.py builtin --data-dir data_ferplus --split test

The folder of data is that of scripts/evaluate_ferplus.py; a face's true emotion is the one with
more than half of FER+'s votes. Faces are given as crops: as they are, blurred, reduced, turned. The
second table is about all of these together, ranked by probability. Pictures without a face are
those of scikit-image (but for a woman and a man), the sample's drawings, and the folders after
--non-faces, from which you have taken pictures that show people. The thresholds of
faceemo/inference/face_check.py were chosen on validation (PublicTest).
"""

import collections
import importlib.util
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from evaluate_ferplus import read_rows
from PIL import Image

from faceemo import errors, load, staging
from faceemo.analysis.fer_protocols import find_majority
from faceemo.commands.parser import Parser, add_data_dir, positive_int
from faceemo.config import ImageFormat
from faceemo.data.measure.decode import read_image
from faceemo.data.sample.draw_non_face import NON_FACES, draw_non_face
from faceemo.data.source import archive
from faceemo.errors import UserError
from faceemo.inference.inputs import find_images
from faceemo.inference.prediction import NO_FACE, OK, UNSURE
from faceemo.inference.predictor import Predictor

_SIDE = 48  # pixels of FER2013's images
_COVERAGES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
_PEOPLE = ("astronaut.png", "camera.png")  # pictures of scikit-image with faces
_DRAWN_EACH = 20
Damage = Callable[[np.ndarray], np.ndarray]


class Answer(NamedTuple):
    """What is predicted for an image whose emotion is known.

    Attributes:
        status: The prediction's status.
        probability: The probability of its most probable class; 0 without a face.
        right: Whether that class is the true one.
    """

    status: str
    probability: float
    right: bool


def make_damages() -> dict[str, Damage]:
    """Returns ways to damage a face of uint8 [48, 48], by their names."""
    damages: dict[str, Damage] = {"as they are": lambda face: face}
    for sigma in (1, 1.5, 2):
        damages[f"blurred, sigma {sigma:g}"] = lambda face, sigma=sigma: cv2.GaussianBlur(
            face, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE
        )
    for side in (32, 24, 20, 16, 12):
        damages[f"reduced to {side} pixels"] = lambda face, side=side: np.asarray(
            Image.fromarray(face).resize((side, side), Image.Resampling.BILINEAR)
        )
    for angle in (20, 45):
        turn = cv2.getRotationMatrix2D((_SIDE / 2 - 0.5, _SIDE / 2 - 0.5), angle, 1)
        damages[f"turned by {angle} degrees"] = lambda face, turn=turn: cv2.warpAffine(
            face, turn, (_SIDE, _SIDE), borderMode=cv2.BORDER_REPLICATE
        )
    for quarters in (1, 2, 3):
        damages[f"turned by {90 * quarters} degrees"] = lambda face, quarters=quarters: np.rot90(
            face, quarters
        )
    return damages


def main(
    network: Path, root: Path, split: str, limit: int, folders: Sequence[Path], out: Path | None
) -> None:
    """Prints the tables as Markdown, and writes the counts as JSON to `out`."""
    predictors = {name: load(network, check_faces=name == "with") for name in ("without", "with")}
    faces, labels = read_faces(root, split, limit)
    found = {
        damage: {
            name: answer(predictor, [apply(face) for face in faces], labels)
            for name, predictor in predictors.items()
        }
        for damage, apply in make_damages().items()
    }
    print_damages(found)
    print_coverage(found)
    print_equal_share(found)
    groups = list_non_faces(folders)
    passed = {
        group: {
            name: count_statuses(predictor, images, crops) for name, predictor in predictors.items()
        }
        for group, (images, crops) in groups.items()
    }
    print_non_faces(passed)
    if out:
        figures = {"faces": found, "non_faces": passed}
        with staging.file(out) as partial:
            partial.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def read_faces(root: Path, split: str, limit: int) -> tuple[list[np.ndarray], list[str]]:
    """Reads up to `limit` faces of a split, spread evenly, and the emotions of their majorities."""
    rows = [row for row in read_rows(root, split) if find_majority(row)]
    rows = [rows[number * len(rows) // limit] for number in range(limit)][: len(rows)]
    paths = [root / archive.FOLDER / row.path for row in rows]
    images = [read_image(path, ImageFormat(_SIDE)) for path in paths]
    return images, [find_majority(row) for row in rows]


def answer(
    predictor: Predictor, faces: Sequence[np.ndarray], labels: Sequence[str]
) -> list[Answer]:
    """Predicts on crops whose emotions are known."""
    predictions = predictor.predict([Image.fromarray(face) for face in faces], crops=True)
    return [
        Answer(one.status, one.probability or 0.0, one.leaning == label)
        for one, label in zip(predictions, labels, strict=True)
    ]


def print_damages(found: dict[str, dict[str, list[Answer]]]) -> None:
    """Prints which share of the faces has the status 'ok', and how many of these are right."""
    print("\n| faces | ok, without the check | of these right | ok, with it | of these right |")
    print("|---|---|---|---|---|")
    for damage, answers in found.items():
        cells = []
        for name in ("without", "with"):
            sure = [one.right for one in answers[name] if one.status == OK]
            right = f"{np.mean(sure):.0%} of {len(sure)}" if sure else "–"
            cells += [f"{len(sure) / len(answers[name]):.0%}", right]
        print(f"| {damage} | {' | '.join(cells)} |")


def print_coverage(found: dict[str, dict[str, list[Answer]]]) -> None:
    """Prints the accuracy on the most probable predictions, for several shares of the faces."""
    print(f"\n| faces | {' | '.join(f'{share:.0%}' for share in _COVERAGES)} |")
    print(f"|---|{'---|' * len(_COVERAGES)}")
    for title, damages in (("as they are", ["as they are"]), ("all rows above", list(found))):
        for name in ("without", "with"):
            answers = [one for damage in damages for one in found[damage][name]]
            # those that the check doubts come last, and none of them is answered
            kept = [one for one in answers if one.status == OK or name == "without"]
            kept.sort(key=lambda one: -one.probability)
            right = np.cumsum([one.right for one in kept])
            counts = [round(share * len(answers)) for share in _COVERAGES]
            cells = [f"{right[n - 1] / n:.3f}" if n <= len(kept) else "–" for n in counts]
            print(f"| {title}, {name} the check | {' | '.join(cells)} |")


def print_equal_share(found: dict[str, dict[str, list[Answer]]]) -> None:
    """Prints what probabilities alone do if they leave as many faces without an emotion."""
    checked = [one for answers in found.values() for one in answers["with"]]
    sure = [one for one in checked if one.status == OK]
    unchecked = [one for answers in found.values() for one in answers["without"]]
    unchecked.sort(key=lambda one: -one.probability)
    alone = unchecked[: len(sure)]
    limit = alone[-1].probability
    intact = found["as they are"]
    with_check = np.mean([one.status == OK for one in intact["with"]])
    without = np.mean([one.probability >= limit for one in intact["without"]])
    print(
        f"\nWith the check {len(sure) / len(checked):.0%} of all faces are 'ok', of which "
        f"{np.mean([one.right for one in sure]):.3f} are right; of the faces as they are, "
        f"{with_check:.0%} are 'ok'. Without it, as many have a probability from {limit:.2f} on, "
        f"and {np.mean([one.right for one in alone]):.3f} are right; of the faces as they are, "
        f"{without:.0%} have it."
    )


def list_non_faces(folders: Sequence[Path]) -> dict[str, tuple[list[Any], bool]]:
    """Lists pictures without a face, and whether they are given as crops, by their kind."""
    rng = np.random.default_rng(0)
    drawn = [
        Image.fromarray(draw_non_face(rng, kind)) for kind in NON_FACES for _ in range(_DRAWN_EACH)
    ]
    groups: dict[str, list[Any]] = {"drawings": drawn}
    if spec := importlib.util.find_spec("skimage"):
        folder = Path(spec.origin or "").parent / "data"
        files = [path for path in find_images([folder]) if path.name not in _PEOPLE]
        groups["pictures of scikit-image"] = files
    for folder in folders:
        groups[folder.name] = find_images([folder])
    return {
        f"{group}, {form}": (images, form == "as crops")
        for group, images in groups.items()
        for form in ("as photographs", "as crops")
    }


def count_statuses(predictor: Predictor, images: Iterable[Any], crops: bool) -> dict[str, int]:
    """Counts images by the best status of what is found in them: 'ok', 'unsure' or 'no_face'."""
    counts = collections.Counter({OK: 0, UNSURE: 0, NO_FACE: 0})
    for image in images:
        statuses = {one.status for one in predictor.predict(image, crops=crops)}
        counts[next((one for one in (OK, UNSURE) if one in statuses), NO_FACE)] += 1
    return dict(counts)


def print_non_faces(passed: dict[str, dict[str, dict[str, int]]]) -> None:
    """Prints how many pictures without a face get an emotion all the same."""
    print(
        "\n| pictures without a face | pictures | ok, without the check | ok | unsure | no_face |"
    )
    print("|---|---|---|---|---|---|")
    for group, counts in passed.items():
        before, after = counts["without"], counts["with"]
        cells = [sum(after.values()), before[OK], after[OK], after[UNSURE], after[NO_FACE]]
        print(f"| {group} | {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    parser = Parser(description=__doc__)
    parser.add_argument("network", type=Path, help="run, model.npz or 'builtin'")
    add_data_dir(parser)
    parser.add_argument(
        "--split",
        choices=("validation", "test"),
        default="validation",
        help="PublicTest or PrivateTest (default: validation)",
    )
    parser.add_argument(
        "--limit", type=positive_int, default=300, metavar="N", help="faces (default: 300)"
    )
    parser.add_argument(
        "--non-faces",
        nargs="+",
        type=Path,
        default=[],
        metavar="FOLDER",
        help="folders of pictures that show no people",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for all counts")
    options = parser.parse_args()
    with errors.reported():
        if missing := [folder for folder in options.non_faces if not folder.is_dir()]:
            raise UserError(
                expected="folders of pictures after --non-faces",
                found=f"none at {', '.join(map(str, missing))}",
                fix="correct these paths",
            )
        main(
            options.network,
            options.data_dir,
            options.split,
            options.limit,
            options.non_faces,
            options.json,
        )
