"""Odd files in a class folder, through the whole preparation and into arrays."""

import io

import numpy as np
import pytest
from PIL import Image

from faceemo.config import CLASSES, SPLITS, ImageFormat
from faceemo.data import builder
from faceemo.data.ledger import ledger
from faceemo.data.measure.decode import decode
from faceemo.data.prepare import prepare
from faceemo.data.source import archive
from tests.support.data import faces, forms


def face(seed, side=96):
    return Image.fromarray(faces.face(seed, side))


def stored(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def colour(seed):
    grey = face(seed)
    return Image.merge("RGB", (grey, grey.point([v // 2 for v in range(256)]), grey))


def turned(seed):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to stand upright
    return stored(face(seed).rotate(90), "JPEG", exif=exif, quality=95)


def wide(seed):
    return Image.fromarray(np.asarray(face(seed)).astype(np.uint16) * 257)


def floating(seed):
    return Image.fromarray(np.asarray(face(seed)) / np.float32(255))


def frames(kind, **options):
    return stored(face(30), kind, save_all=True, append_images=[face(31), face(32)], **options)


# By name: the content, and words of the reason in its row; None if the image is kept.
ODD = {
    "upper.JPG": (stored(face(0), "JPEG"), None),
    "MIXED.JpEg": (stored(face(1), "JPEG"), None),
    "png.png": (stored(face(2), "PNG"), None),
    "bitmap.BMP": (stored(face(3), "BMP"), None),
    "webp.webp": (stored(face(4), "WEBP", quality=95), None),
    "tiff.tif": (stored(face(5), "TIFF"), None),
    "png named.jpg": (stored(face(6), "PNG"), None),
    "no extension": (stored(face(7), "JPEG"), None),
    "16 bit.png": (stored(wide(8), "PNG"), None),
    "cmyk.jpg": (stored(colour(9).convert("CMYK"), "JPEG"), None),
    "palette.png": (stored(face(10).convert("P"), "PNG"), None),
    "rgba.png": (stored(colour(11).convert("RGBA"), "PNG"), None),
    "turned.jpg": (turned(12), None),
    "large.jpg": (stored(face(13, 3000), "JPEG"), None),
    "1x1.png": (stored(Image.new("L", (1, 1), 9), "PNG"), "best face confidence"),
    "huge.png": (stored(Image.new("1", (20_000, 20_000)), "PNG"), "decompression bomb"),
    "large bomb.png": (stored(Image.new("1", (10_000, 10_000)), "PNG"), "decompression bomb"),
    "moving.gif": (frames("GIF"), "3 frames"),
    "moving.png": (frames("PNG"), "3 frames"),
    "moving.webp": (frames("WEBP"), "3 frames"),
    "pages.tif": (frames("TIFF"), "3 pages"),
    "float.tif": (stored(floating(14), "TIFF"), "floating"),
    "text.jpg": (b"<html>404</html>", "not an image"),
    "empty.jpg": (b"", "not an image"),
    "truncated.jpg": (stored(face(15), "JPEG")[:-200], "truncated"),
    "truncated.png": (stored(face(16), "PNG")[:-200], "truncated"),
    "script.jpg": (b"#!/bin/sh\nrm -rf /\n", "not an image"),
}  # fmt: skip


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    root = tmp_path_factory.mktemp("odd")
    plain = {
        f"{split}/{label}/{number}.jpg": stored(face(100 + 10 * s + c), "JPEG")
        for s, split in enumerate(SPLITS)
        for c, label in enumerate(CLASSES)
        for number in (s * 4 + c,)
    }
    odd = {f"train/happy/{name}": content for name, (content, _) in ODD.items()}
    forms.write_zip(root / archive.ZIP, plain | odd)
    prepare.prepare(root)
    return root, {row.path: row for row in ledger.read(root)}, plain


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD)
def test_an_odd_file_is_kept_or_left_out_with_its_reason(rows, name):
    root, by_path, _ = rows
    content, reason = ODD[name]
    row = by_path[f"train/happy/{name}"]
    assert (root / archive.FOLDER / row.path).read_bytes() == content
    if reason is None:
        assert (row.fate, row.reason) == (ledger.KEPT, "")
    else:
        fate = ledger.NO_FACE if name == "1x1.png" else ledger.UNREADABLE
        assert row.fate == fate
        assert reason in row.reason


def test_the_other_images_are_kept_and_all_kept_images_become_arrays(rows):
    root, by_path, plain = rows
    assert all(by_path[path].fate == ledger.KEPT for path in plain)
    loaded = builder.load(root, ImageFormat(48))
    kept = {path for path, row in by_path.items() if row.fate == ledger.KEPT}
    assert {path for split in loaded.values() for path in split.paths} == kept
    train = loaded["train"]
    for name, seed in (("turned.jpg", 12), ("16 bit.png", 8), ("rgba.png", 11), ("cmyk.jpg", 9)):
        shown = train.images[train.paths.index(f"train/happy/{name}")].astype(float)
        expected = np.asarray(face(seed, 48), float)
        # upright and neither clipped nor black
        assert np.corrcoef(shown.ravel(), expected.ravel())[0, 1] > 0.97, name


def test_a_chunk_that_claims_gigabytes_is_refused_before_allocation(monkeypatch):
    content = stored(face(1), "PNG")
    assert decode(content + b"bytes after the end are ignored").pixels is not None
    end = content.index(b"IEND") - 4
    claims = content[:end] + (2**31 - 1).to_bytes(4, "big") + bytes(4) + content[end:]
    monkeypatch.setattr("PIL.Image.open", lambda *_, **__: pytest.fail("Pillow was called"))
    assert "beyond its end" in decode(claims).problem
