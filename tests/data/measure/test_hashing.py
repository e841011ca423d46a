"""Hashes of stacks against imagehash, one image at a time, over sizes, modes and kinds of image."""

import io
import itertools

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from faceemo.data.measure import hashing
from faceemo.data.measure.decode import decode
from faceemo.data.sample import draw_face

COUNT = hashing._MIN_IMAGES  # images of one size from which on the matrix product is used


def imagehash_of(images):
    return [int(str(imagehash.dhash(Image.fromarray(image))), 16) for image in images]


def kinds(rng, count, height, width):
    """Yields stacks of images that reveal rounding errors: noise, smooth, flat, two-valued."""
    yield rng.integers(0, 256, (count, height, width), np.uint8)
    coarse = rng.integers(0, 256, (count, 5, 6), np.uint8)
    bicubic = Image.Resampling.BICUBIC
    yield np.stack(
        [np.asarray(Image.fromarray(one).resize((width, height), bicubic)) for one in coarse]
    )
    levels = np.arange(count, dtype=np.uint8)[:, None, None]
    yield np.broadcast_to(levels, (count, height, width)).copy()
    yield rng.integers(0, 2, (count, height, width), np.uint8) * np.uint8(255)
    # slopes one level apart, whose neighbours often tie
    yield (np.indices((count, height, width)).sum(0) % 256).astype(np.uint8)


@settings(max_examples=60)
@given(st.integers(1, 120), st.integers(1, 120), st.integers(0, 2**32 - 1))
def test_equals_imagehash_at_any_size(height, width, seed):
    for images in kinds(np.random.default_rng(seed), COUNT, height, width):
        assert hashing.dhash(images).tolist() == imagehash_of(images)


@pytest.mark.parametrize("shape", [(48, 48), (8, 9), (48, 28), (48, 29), (9, 8), (255, 257)])
def test_the_matrix_product_equals_imagehash_without_calling_it(shape, monkeypatch):
    images = np.concatenate(list(kinds(np.random.default_rng(1), 60, *shape)))
    expected = imagehash_of(images)
    assert hashing._find_pass_order(*shape)  # compares with Pillow
    monkeypatch.setattr(imagehash, "dhash", None)
    assert hashing.dhash(images).tolist() == expected


def test_equals_imagehash_on_faces():
    rng = np.random.default_rng(3)
    labels = itertools.cycle(("happy", "neutral", "sad", "surprise"))
    faces = []
    for label in itertools.islice(labels, 60):
        stream = io.BytesIO()
        Image.fromarray(draw_face.draw_face(rng, label)).save(stream, "JPEG", quality=90)
        faces.append(np.asarray(Image.open(stream)))
    assert len(set(imagehash_of(faces))) > 50
    assert hashing.dhash(faces).tolist() == imagehash_of(faces)
    flipped = [face[:, ::-1] for face in faces]
    assert hashing.dhash(flipped).tolist() == imagehash_of(flipped)


def test_pillow_hashes_where_neither_order_matches_it(monkeypatch):
    images = next(kinds(np.random.default_rng(2), COUNT, 48, 48))
    hashing._find_pass_order.cache_clear()
    weights = hashing._lanczos_weights(48, 9) + (1 << 18)
    with monkeypatch.context() as patch:
        patch.setattr(hashing, "_lanczos_weights", lambda *_: weights)
        patch.setattr(hashing, "_shrink_height", lambda grey: grey[:, :8])
        assert hashing._find_pass_order(48, 48) is None
        assert hashing.dhash(images).tolist() == imagehash_of(images)
    hashing._find_pass_order.cache_clear()


def test_mixed_sizes_and_few_images_come_back_in_their_order():
    rng = np.random.default_rng(4)
    images = [
        rng.integers(0, 256, [(48, 48), (300, 400), (1, 1), (10, 7)][index % 4], np.uint8)
        for index in range(4 * COUNT)
    ]
    assert hashing.dhash(images).tolist() == imagehash_of(images)
    assert hashing.dhash([]).tolist() == []


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "LA", "CMYK", "I;16"])
def test_files_of_every_mode_are_hashed_as_imagehash_hashes_them(mode):
    rng = np.random.default_rng(5)
    contents = []
    for _ in range(COUNT):
        if mode == "I;16":
            image = Image.fromarray(rng.integers(0, 65536, (31, 40), np.uint16))
        else:
            image = Image.fromarray(rng.integers(0, 256, (31, 40, 3), np.uint8)).convert(mode)
        stream = io.BytesIO()
        image.save(stream, "JPEG" if mode == "CMYK" else "PNG")
        contents.append(stream.getvalue())
    decoded = [decode(content) for content in contents]
    images = [Image.open(io.BytesIO(content)) for content in contents]
    if mode == "I;16":  # imagehash would drop the lower 8 bits, training rounds
        images = [Image.fromarray((np.asarray(one) / 257).round().astype("u1")) for one in images]
    expected = [int(str(imagehash.dhash(image)), 16) for image in images]
    assert hashing.dhash([one.pixels.grey for one in decoded]).tolist() == expected


def test_written_as_imagehash_writes_it():
    image = Image.fromarray(np.zeros((48, 48), np.uint8))
    assert hashing.to_hex(0) == str(imagehash.dhash(image))
    assert hashing.from_hex([hashing.to_hex(2**63 + 5), "0" * 16]).tolist() == [2**63 + 5, 0]
