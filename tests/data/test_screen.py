"""Screening against OpenCV used plainly: one image, one pass, the network as published."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from faceemo import assets
from faceemo.config import CLASSES, SPLITS
from faceemo.data import archive, drawing, ledger, screen


def jpeg(pixels, mode="L", **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def png(image, **options):
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    return stream.getvalue()


def face(seed, side=48):
    drawn = drawing.draw_face(np.random.default_rng(seed), CLASSES[seed % 4])
    return np.asarray(Image.fromarray(drawn).resize((side, side), Image.Resampling.BICUBIC))


def placed(seed, side, left, top, canvas=200):
    """A face on a plain ground."""
    pixels = np.full((canvas, canvas), 128, np.uint8)
    pixels[top : top + side, left : left + side] = face(seed, side)
    return pixels


@pytest.fixture(scope="module")
def files():
    """Files by name: faces, no faces, other sizes, modes and formats."""
    rng = np.random.default_rng(11)
    result = {f"face{seed}.jpg": jpeg(face(seed), quality=90) for seed in range(14)}
    result |= {f"noise{i}.jpg": jpeg(rng.integers(0, 256, (48, 48), np.uint8)) for i in range(4)}
    # half-visible and faded faces lie between the two
    for seed in range(8):
        pixels = face(30 + seed).astype(float)
        faded = 128 + (pixels - 128) * (seed + 1) / 16
        result[f"faded{seed}.jpg"] = jpeg(faded.astype(np.uint8))
        result[f"cut{seed}.jpg"] = jpeg(face(50 + seed)[:, : 12 + 4 * seed])
    colour = Image.fromarray(np.stack([face(3, 120), face(3, 120) // 2, face(3, 120)], -1))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to see it upright
    stream = io.BytesIO()
    Image.fromarray(np.rot90(face(5, 96))).save(stream, "JPEG", exif=exif)
    result |= {
        "black.jpg": jpeg(np.zeros((48, 48), np.uint8)),
        "one.png": png(Image.new("L", (1, 1), 9)),
        "colour.jpg": jpeg(np.asarray(colour), "RGB"),
        "cmyk.jpg": jpeg(np.asarray(colour), "CMYK"),
        "alpha.png": png(colour.convert("RGBA")),
        "palette.png": png(colour.convert("P")),
        "deep.png": png(Image.fromarray(face(7, 60).astype(np.uint16) * 257)),
        "wide.jpg": jpeg(face(8, 150)[20:110]),
        "turned.jpg": stream.getvalue(),
    }
    return result


def broken_files():
    whole = jpeg(face(1), quality=90)
    return {
        "cut at 60%.jpg": whole[: len(whole) * 6 // 10],
        "lacks 40 bytes.jpg": whole[:-40],
        "lacks one byte.jpg": whole[:-1],
        "header only.jpg": whole[:200],
        "empty.jpg": b"",
        "text.jpg": b"<html>404</html>",
        "cut.png": png(Image.fromarray(face(1)))[:-300],
    }


@pytest.fixture(scope="module")
def detector():
    return screen.Detector()


def write(root, files, split="train", label="happy"):
    """Puts `files` into a class folder of the originals; returns {path: content hash}."""
    for s in SPLITS:
        for c in CLASSES:
            (root / archive.FOLDER / s / c).mkdir(parents=True, exist_ok=True)
            (root / archive.FOLDER / s / c / "0.jpg").write_bytes(jpeg(face(99)))
    for name, content in files.items():
        (root / archive.FOLDER / split / label / name).write_bytes(content)
    return archive.hashes(root / archive.FOLDER)


def plain_confidences(paths):
    """The original's way."""
    network = cv2.dnn.readNetFromCaffe(
        str(assets.fetch("res10.prototxt")), str(assets.fetch("res10.caffemodel"))
    )
    result = []
    for path in paths:
        image = cv2.imread(str(path))
        assert image is not None
        image = cv2.resize(image, (300, 300))
        network.setInput(cv2.dnn.blobFromImage(image, 1.0, (300, 300), (104.0, 177.0, 123.0)))
        result.append(network.forward()[0, 0, :, 2].max())
    return np.array(result)


def test_confidences_equal_the_plain_way(tmp_path, files, detector):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    paths = [tmp_path / name for name in files]
    wanted = plain_confidences(paths)
    found = np.array([finding.confidence for finding in detector.find(paths)], np.float32)
    np.testing.assert_array_equal(found, wanted)
    # the images must be hard enough to tell right from nearly right
    assert 10 < (wanted > 0.5).sum() < len(wanted) - 5
    assert ((wanted > 0.1) & (wanted < 0.9)).sum() >= 3


def test_workers_do_not_matter(tmp_path, files, detector):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    paths = [tmp_path / name for name in files][:11]
    cv2.setNumThreads(2)
    assert screen.Detector(workers=1).find(paths) == detector.find(paths)
    assert cv2.getNumThreads() == 2  # as before


@pytest.mark.parametrize(
    ("side", "left", "top"), [(200, 0, 0), (150, 0, 40), (150, 50, 50), (110, 80, 5), (110, 5, 85)]
)
def test_the_box_is_where_the_face_is(tmp_path, detector, side, left, top):
    place = (left, top, left + side, top + side)
    for seed in range(3):
        pixels = placed(seed, side, left, top)
        (tmp_path / f"{seed}.jpg").write_bytes(jpeg(pixels, quality=90))
    for finding in detector.find(sorted(tmp_path.iterdir())):
        assert finding.confidence > 0.5
        corners = np.array([finding.box, place])
        low, high = corners[:, :2].max(0), corners[:, 2:].min(0)
        shared = np.prod(np.maximum(high - low, 0))
        areas = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
        assert shared / (areas.sum() - shared) > 0.5


def test_facts_in_the_ledger(tmp_path, files, detector):
    images = write(tmp_path, files)
    rows = {row.path: row for row in screen.screen(tmp_path, images, 0.5, detector)}
    assert list(rows) == list(images)
    for name, content in files.items():
        row = rows[f"train/happy/{name}"]
        with Image.open(io.BytesIO(content)) as image:
            assert (row.mode, row.width, row.height) == (image.mode, *image.size)
        assert (row.bytes, row.sha256) == (len(content), images[row.path])
        assert (row.split, row.label) == ("train", "happy")
        assert row.face_confidence is not None
        assert row.fate == (ledger.KEPT if row.face_confidence > 0.5 else ledger.NO_FACE)
        assert bool(row.reason) == (row.fate != ledger.KEPT)


def test_copies_by_confidence_byte_for_byte(tmp_path, files, detector):
    images = write(tmp_path, files | broken_files(), "test", "sad")
    rows = screen.screen(tmp_path, images, 0.5, detector)
    folder = tmp_path / screen.FOLDER
    assert {path.name for path in folder.iterdir()} == {screen.HIGH, screen.LOW}
    for name, fate in ((screen.HIGH, ledger.KEPT), (screen.LOW, ledger.NO_FACE)):
        copies = {
            path.relative_to(folder / name).as_posix(): path.read_bytes()
            for path in (folder / name).rglob("*.*")
        }
        wanted = {row.path for row in rows if row.fate == fate}
        assert wanted
        assert copies == {path: (tmp_path / archive.FOLDER / path).read_bytes() for path in wanted}
        for split in SPLITS:
            assert {path.name for path in (folder / name / split).iterdir()} == set(CLASSES)


def test_the_threshold_decides(tmp_path, files, detector):
    images = write(tmp_path, {name: files[name] for name in list(files)[10:34]})
    for threshold in (0.0, 0.3, 0.95):
        rows = screen.screen(tmp_path, images, threshold, detector)
        high = {path.name for path in (tmp_path / screen.FOLDER / screen.HIGH).rglob("*.jpg")}
        for row in rows:
            assert row.face_confidence is not None
            assert row.has_face == (row.face_confidence > threshold)
            assert row.path.split("/")[-1] in high or not row.has_face


@pytest.mark.parametrize("name", broken_files())
def test_what_cannot_be_decoded_is_booked(tmp_path, detector, name):
    images = write(tmp_path, {name: broken_files()[name]})
    rows = {row.path: row for row in screen.screen(tmp_path, images, 0.5, detector)}
    row = rows[f"train/happy/{name}"]
    assert row.fate == ledger.UNREADABLE
    assert row.reason
    if "cut" in name or "lacks" in name:
        assert "truncated" in row.reason
    assert "0x" not in row.reason  # an address would differ from run to run
    assert row.face_confidence is None
    assert row.face_box is None
    assert row.bytes == len(broken_files()[name])
    assert not list((tmp_path / screen.FOLDER).rglob(name))
    assert all(row.fate == ledger.KEPT for path, row in rows.items() if name not in path)


def test_opencv_alone_would_not_notice(tmp_path):
    """Why Pillow reads every file first: the original's imread fills the rest of these."""
    for name in ("cut at 60%.jpg", "lacks 40 bytes.jpg", "lacks one byte.jpg"):
        (tmp_path / name).write_bytes(broken_files()[name])
        assert cv2.imread(str(tmp_path / name)) is not None


def test_equal_files_are_looked_at_once(tmp_path, detector, monkeypatch):
    images = write(tmp_path, {"1.jpg": jpeg(face(1)), "2.jpg": jpeg(face(1))})
    looked_at = []
    find = detector.find
    monkeypatch.setattr(detector, "find", lambda files: looked_at.extend(files) or find(files))
    rows = screen.screen(tmp_path, images, 0.5, detector)
    assert len(looked_at) == len(set(images.values())) == 2
    assert len(rows) == len(images) == 14
    assert len({row.face_confidence for row in rows}) == 2
