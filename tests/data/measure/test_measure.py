"""Measurements against the plain libraries; the store across kills, copies and renames."""

import hashlib
import io
import json

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image, ImageOps

from faceemo.data.measure import boxes, measure
from tests.support.data.faces import face, jpeg, odd_files, png


def whole_files():
    """Returns files of many sizes, modes and formats, by name."""
    return {f"face{seed}.jpg": jpeg(face(seed), quality=90) for seed in range(4)} | odd_files()


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


class StandIn:
    """A detector whose confidence is the mean of the pixels; it counts the images."""

    workers = 2

    def __init__(self):
        self.seen = 0

    def detect(self, images):
        self.seen += len(images)
        return [boxes.Detection(round(float(image.mean()) / 256, 3), None, 300) for image in images]


def write(folder, files):
    """Writes files into a class folder and returns {path: sha256}."""
    images = {}
    for name, content in files.items():
        path = folder / "train/happy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        images[f"train/happy/{name}"] = hashlib.sha256(content).hexdigest()
    return images


def measured(root, files, detector):
    """Measures files into root/measured.jsonl and returns the store."""
    store = measure.Store(root)
    measure.measure_missing(root, write(root, files), store, detector)
    store.tidy()
    return store


def test_whole_files_are_measured_as_the_libraries_do():
    files = whole_files()
    detector = StandIn()
    for content, found in zip(
        files.values(), measure.measure_files(files.values(), detector), strict=True
    ):
        with Image.open(io.BytesIO(content)) as image:
            assert (found.mode, found.width, found.height) == (image.mode, *image.size)
            upright = ImageOps.exif_transpose(image)
            if upright.mode == "I;16":  # imagehash would drop the lower 8 bits, training rounds
                upright = Image.fromarray((np.asarray(upright) / 257).round().astype(np.uint8))
            assert found.dhash == str(imagehash.dhash(upright))
            plain = upright.convert("L")
            assert found.dhash_mirrored == str(imagehash.dhash(ImageOps.mirror(plain)))
            rgb = np.asarray(upright.convert("RGB"))
        assert (found.bytes, found.problem) == (len(content), "")
        bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert bgr is not None
        if found.mode == "CMYK":  # OpenCV rounds another way
            assert np.abs(bgr[..., ::-1].astype(int) - rgb).max() <= 1
            bgr = rgb[..., ::-1]
        assert found.face_confidence == detector.detect([bgr])[0].confidence


def test_pixels_sha256_depends_on_the_picture_not_on_the_file():
    grey = Image.fromarray(face(1))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned = png(Image.fromarray(face(1)[::-1, ::-1]), exif=exif)
    same = [png(grey), png(grey, compress_level=0), png(grey.convert("RGBA")), turned]
    other = [png(grey.resize((47, 48))), png(Image.fromarray(face(1) ^ 1)), png(grey.transpose(0))]
    found = [fact.pixels_sha256 for fact in measure.measure_files(same + other, StandIn())]
    assert len(set(found[: len(same)])) == 1
    assert len(set(found)) == 1 + len(other)
    # the shape counts too: 2x8 and 4x4 zeros are different pictures
    flat = [png(Image.new("L", size)) for size in ((2, 8), (4, 4))]
    assert len({fact.pixels_sha256 for fact in measure.measure_files(flat, StandIn())}) == 2


def test_hashes_are_those_of_the_pixels_that_training_sees():
    grey = Image.fromarray(face(1))
    for orientation, method in ((3, Image.Transpose.ROTATE_180), (6, Image.Transpose.ROTATE_90)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        copy = png(grey.transpose(method), exif=exif)
        upright, turned = measure.measure_files([png(grey), copy], StandIn())
        for name in ("pixels_sha256", "dhash", "dhash_mirrored"):
            assert getattr(turned, name) == getattr(upright, name)


def test_blankness_of_flat_noisy_and_drawn_images():
    rng = np.random.default_rng(0)
    nothing = measure.compute_blankness(np.full((48, 48), 130, np.uint8))
    noisy = measure.compute_blankness(rng.integers(130, 134, (48, 48), np.uint8))
    faces = [measure.compute_blankness(face(seed)) for seed in range(20)]
    everything = measure.compute_blankness(np.arange(256, dtype=np.uint8).repeat(9).reshape(48, 48))
    assert (nothing, everything) == (1, 0)
    assert noisy > 0.9 > max(faces)
    assert min(faces) > 0


@pytest.mark.parametrize("name", broken_files())
def test_a_broken_file_has_a_problem_and_no_measurements(name):
    content = broken_files()[name]
    detector = StandIn()
    broken, fine = measure.measure_files([content, jpeg(face(1))], detector)
    assert broken.problem
    if "cut" in name or "lacks" in name:
        assert "truncated" in broken.problem
    assert "0x" not in broken.problem  # an address would differ from run to run
    assert broken.bytes == len(content)
    assert broken.face_confidence is broken.dhash is broken.pixels_sha256 is broken.blank is None
    assert fine.problem == ""
    assert detector.seen == 1


def test_opencv_alone_does_not_notice_truncation(tmp_path):
    """This is why Pillow decodes, and not OpenCV: imread fills the missing part of these."""
    for name in ("cut at 60%.jpg", "lacks 40 bytes.jpg", "lacks one byte.jpg"):
        (tmp_path / name).write_bytes(broken_files()[name])
        assert cv2.imread(str(tmp_path / name)) is not None


def test_equal_files_are_measured_once(tmp_path):
    detector = StandIn()
    store = measured(tmp_path, {"1.jpg": jpeg(face(1)), "2.jpg": jpeg(face(1))}, detector)
    assert detector.seen == len(store.measurements) == 1


def test_nothing_is_measured_twice(tmp_path):
    """Neither after a restart, nor under another name, nor beside new files."""
    files = whole_files() | broken_files()
    detector = StandIn()
    first = measured(tmp_path, files, detector)
    seen = detector.seen
    renamed = {f"other-{name}": content for name, content in files.items()}
    again = measured(tmp_path, renamed, detector)
    assert detector.seen == seen
    assert again.measurements == first.measurements
    measured(tmp_path, renamed | {"new.jpg": jpeg(face(77))}, detector)
    assert detector.seen == seen + 1


def test_bytes_depend_on_the_files_alone(tmp_path):
    """Order, batches, number of workers and interruptions do not change them."""
    files = whole_files() | broken_files() | {f"{n}.jpg": jpeg(face(n)) for n in range(100, 150)}
    expected = None
    for turn, workers in enumerate((1, 2, 5)):
        detector = StandIn()
        detector.workers = workers
        root = tmp_path / str(turn)
        names = list(np.random.default_rng(turn).permutation(list(files)))
        if turn:
            measured(root, {name: files[name] for name in names[:20]}, detector)
        measured(root, {name: files[name] for name in names}, detector)
        content = (root / measure.NAME).read_bytes()
        assert expected in (None, content)
        expected = content


def test_a_line_cut_off_by_a_kill_costs_one_measurement(tmp_path):
    files = whole_files()
    expected = measured(tmp_path, files, StandIn()).measurements
    path = tmp_path / measure.NAME
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    # a second kill, before the file was tidied
    measure.measure_missing(tmp_path, write(tmp_path, files), measure.Store(tmp_path), StandIn())
    assert measure.Store(tmp_path).measurements == expected
    path.write_bytes(whole[:-40])
    detector = StandIn()
    assert measured(tmp_path, files, detector).measurements == expected
    assert detector.seen == 1
    assert path.read_bytes() == whole


@pytest.mark.parametrize("header", [{"version": 0}, "text", None])
def test_measurements_of_another_version_do_not_count(tmp_path, header):
    files = whole_files()
    measured(tmp_path, files, StandIn())
    path = tmp_path / measure.NAME
    lines = path.read_text().splitlines()[1:]
    path.write_text("\n".join(([] if header is None else [json.dumps(header)]) + lines))
    detector = StandIn()
    measured(tmp_path, files, detector)
    assert detector.seen == len(files)
    assert measure.Store(tmp_path).measurements.keys() == {
        hashlib.sha256(content).hexdigest() for content in files.values()
    }
