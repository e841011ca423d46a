"""Near duplicates: which pairs are candidates, and how alike they are."""

import dataclasses
import io

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageFilter

from faceemo.config import CLASSES
from faceemo.data.ledger import ledger, near
from faceemo.data.ledger.rules import Rules
from faceemo.data.measure import measure
from faceemo.data.sample import draw_face
from tests.support.data.rows import row

SIMILARITY = Rules().near_similarity


def drawn(seed):
    return draw_face.draw_face(np.random.default_rng(seed), CLASSES[seed % 4])


def version(pixels, change):
    image = Image.fromarray(pixels)
    stream = io.BytesIO()
    match change:
        case "jpeg":
            image.save(stream, "JPEG", quality=60)
            image = Image.open(stream)
        case "darker":
            image = image.point(lambda value: value * 0.6)
        case "contrast":
            image = image.point(lambda value: 128 + (value - 128) * 0.7)
        case "blurred":
            image = image.filter(ImageFilter.GaussianBlur(0.7))
        case "smaller":
            image = image.resize((40, 40)).resize((48, 48), Image.Resampling.BILINEAR)
    return np.asarray(image)


@pytest.mark.parametrize("change", ["jpeg", "darker", "contrast", "blurred", "smaller"])
def test_versions_of_a_face_are_alike_and_other_faces_are_not(change):
    faces = [drawn(seed) for seed in range(20)]
    fine = np.array([near.extract_fine_structure(one) for one in faces])
    versions = np.array([near.extract_fine_structure(version(one, change)) for one in faces])
    similarity = fine @ versions.T
    assert similarity.diagonal().min() > SIMILARITY
    others = similarity[~np.eye(len(faces), dtype=bool)]
    assert np.mean(others > SIMILARITY) < 0.02  # drawings share their strokes


def test_similarity_is_a_correlation():
    one, other = drawn(1), drawn(2)
    np.testing.assert_allclose(
        near.extract_fine_structure(one) @ near.extract_fine_structure(one), 1, atol=1e-5
    )
    np.testing.assert_allclose(
        near.extract_fine_structure(one) @ near.extract_fine_structure(255 - one), -1, atol=1e-5
    )
    assert abs(near.extract_fine_structure(one) @ near.extract_fine_structure(other)) < 1
    assert not near.extract_fine_structure(np.full((48, 48), 77, np.uint8)).any()


def make_rows(images):
    """Returns rows with the measured fields, and a function that reads their pixels."""
    rows, pixels = [], {}
    for number, grey in enumerate(images):
        path = f"train/sad/{number:03}.png"
        image = Image.fromarray(grey)
        rows.append(
            row(
                path,
                pixels_sha256=measure.hash_pixels(grey),
                blank=measure.compute_blankness(grey),
                dhash=str(imagehash.dhash(image)),
                dhash_mirrored=str(imagehash.dhash(Image.fromarray(grey[:, ::-1]))),
            )
        )
        pixels[path] = grey
    return rows, lambda row: pixels[row.path]


def compare_every_pair(rows, read):
    """Finds likenesses by comparing every pair of rows."""
    found = {}
    for second, one in enumerate(rows):
        for other in rows[:second]:
            bits = [
                min(
                    imagehash.hex_to_hash(a) - imagehash.hex_to_hash(b)
                    for a, b in [(one.dhash, theirs), (other.dhash, ours)]
                )
                for theirs, ours in [
                    (other.dhash, one.dhash),
                    (other.dhash_mirrored, one.dhash_mirrored),
                ]
            ]
            for mirrored, distance in enumerate(bits):
                flipped = read(one)[:, ::-1] if mirrored else read(one)
                similarity = float(
                    near.extract_fine_structure(read(other)) @ near.extract_fine_structure(flipped)
                )
                if distance <= near.MAX_DISTANCE and similarity >= near.MIN_SIMILARITY:
                    alike = distance, pytest.approx(similarity, abs=1e-4), bool(mirrored)
                    for here, there in ((one, other), (other, one)):
                        found.setdefault(here.pixels_sha256, []).append((there.path, *alike))
    return found


def faces_and_versions():
    """Draws faces, and versions of them as they are and mirrored."""
    images = []
    for seed in range(12):
        face = drawn(seed)
        changes = ["jpeg", "darker", "blurred"][: seed % 4]
        images += [face] + [version(face, change) for change in changes]
        if seed % 3 == 0:
            images.append(version(face, "jpeg")[:, ::-1])
    return images


def test_pairs_are_those_of_a_comparison_of_every_pair(monkeypatch):
    rows, read = make_rows(faces_and_versions())
    monkeypatch.setattr(near, "_BATCH_PAIRS", 3)  # several batches
    found = near.find_likenesses(rows, read)
    expected = compare_every_pair(rows, read)
    assert len(expected) > 10
    assert any(mirrored for pairs in expected.values() for *_, mirrored in pairs)
    assert {
        pixels: [(one.path, one.distance, one.similarity, one.mirrored) for one in likenesses]
        for pixels, likenesses in found.items()
    } == {
        pixels: sorted(pairs, key=lambda pair: (pair[0], pair[3]))
        for pixels, pairs in expected.items()
    }
    pixels = {row.path: row.pixels_sha256 for row in rows}
    assert all(
        one.pixels_sha256 == pixels[one.path] for likenesses in found.values() for one in likenesses
    )
    assert near.find_likenesses(rows[::-1], read) == found


def test_equal_pixels_are_compared_once_and_blank_ones_never():
    flat = np.full((48, 48), 90, np.uint8)
    flat[0, 0] = 120
    nearly = flat.copy()
    nearly[0, 1] = 120
    face = drawn(1)
    rows, read = make_rows([face, version(face, "jpeg"), face, flat, nearly])
    read_paths = []

    def recorded(row):
        read_paths.append(row.path)
        return read(row)

    found = near.find_likenesses(rows, recorded)
    assert found.keys() == {rows[0].pixels_sha256, rows[1].pixels_sha256}
    assert found[rows[1].pixels_sha256][0].path == "train/sad/000.png"
    assert set(read_paths) == {"train/sad/000.png", "train/sad/001.png"}
    lost = [dataclasses.replace(row, pixels_sha256=None, dhash=None, blank=None) for row in rows]
    assert near.find_likenesses(lost, read) == {}


def test_a_match_is_within_both_thresholds():
    like = ledger.Likeness(pixels_sha256="ef", path="x", distance=2, similarity=0.7, mirrored=False)
    assert near.is_match(like, 2, 0.7)
    assert not near.is_match(like, 1, 0.7)
    assert not near.is_match(like, 2, 0.71)
