"""Facts of files against the libraries used plainly; the store across kills, copies and renames."""

import hashlib
import io
import json

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image, ImageOps

from faceemo.data.measure import face_detector, measure
from tests.support.data.faces import face, jpeg, odd_files, png


def whole_files():
    """Files of many sizes, modes and formats, by name."""
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
    """Sees a face of a confidence that the pixels decide, and counts."""

    workers = 2

    def __init__(self):
        self.seen = 0

    def look(self, images):
        self.seen += len(images)
        return [
            face_detector.Detection(round(float(image.mean()) / 256, 3), None) for image in images
        ]


def write(folder, files):
    """Puts files into a class folder; returns {path: sha256}."""
    images = {}
    for name, content in files.items():
        path = folder / "train/happy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        images[f"train/happy/{name}"] = hashlib.sha256(content).hexdigest()
    return images


def measured(root, files, detector):
    """Measures into root/measured.jsonl."""
    store = measure.Store(root)
    measure.measure(root, write(root, files), store, detector)
    store.tidy()
    return store


def test_facts_of_whole_files():
    files = whole_files()
    detector = StandIn()
    for content, found in zip(files.values(), measure.facts(files.values(), detector), strict=True):
        with Image.open(io.BytesIO(content)) as image:
            assert (found.mode, found.width, found.height) == (image.mode, *image.size)
            assert found.dhash == str(imagehash.dhash(image))
            plain = image.convert("L")
            assert found.dhash_mirrored == str(imagehash.dhash(ImageOps.mirror(plain)))
        assert (found.bytes, found.problem) == (len(content), "")
        bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert bgr is not None
        assert found.face_confidence == detector.look([bgr])[0].confidence


def test_the_same_picture_in_other_files_has_the_same_pixels():
    grey = Image.fromarray(face(1))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned = png(Image.fromarray(face(1)[::-1, ::-1]), exif=exif)
    same = [png(grey), png(grey, compress_level=0), png(grey.convert("RGBA")), turned]
    other = [png(grey.resize((47, 48))), png(Image.fromarray(face(1) ^ 1)), png(grey.transpose(0))]
    found = [fact.pixels_sha256 for fact in measure.facts(same + other, StandIn())]
    assert len(set(found[: len(same)])) == 1
    assert len(set(found)) == 1 + len(other)
    # not only the bytes count: 2x8 and 4x4 zeros are different pictures
    flat = [png(Image.new("L", size)) for size in ((2, 8), (4, 4))]
    assert len({fact.pixels_sha256 for fact in measure.facts(flat, StandIn())}) == 2


def test_blank():
    rng = np.random.default_rng(0)
    nothing = measure.blank(np.full((48, 48), 130, np.uint8))
    noisy = measure.blank(rng.integers(130, 134, (48, 48), np.uint8))
    faces = [measure.blank(face(seed)) for seed in range(20)]
    everything = measure.blank(np.arange(256, dtype=np.uint8).repeat(9).reshape(48, 48))
    assert (nothing, everything) == (1, 0)
    assert noisy > 0.9 > max(faces)
    assert min(faces) > 0


@pytest.mark.parametrize("name", broken_files())
def test_what_cannot_be_decoded_is_told(name):
    content = broken_files()[name]
    detector = StandIn()
    broken, fine = measure.facts([content, jpeg(face(1))], detector)
    assert broken.problem
    if "cut" in name or "lacks" in name:
        assert "truncated" in broken.problem
    assert "0x" not in broken.problem  # an address would differ from run to run
    assert broken.bytes == len(content)
    assert broken.face_confidence is broken.dhash is broken.pixels_sha256 is broken.blank is None
    assert fine.problem == ""
    assert detector.seen == 1


def test_opencv_alone_would_not_notice(tmp_path):
    """Why Pillow reads every file first: the original's imread fills the rest of these."""
    for name in ("cut at 60%.jpg", "lacks 40 bytes.jpg", "lacks one byte.jpg"):
        (tmp_path / name).write_bytes(broken_files()[name])
        assert cv2.imread(str(tmp_path / name)) is not None


def test_equal_files_are_looked_at_once(tmp_path):
    detector = StandIn()
    store = measured(tmp_path, {"1.jpg": jpeg(face(1)), "2.jpg": jpeg(face(1))}, detector)
    assert detector.seen == len(store.facts) == 1


def test_nothing_is_measured_twice(tmp_path):
    """Not after a new start, not under another name, not beside new files."""
    files = whole_files() | broken_files()
    detector = StandIn()
    first = measured(tmp_path, files, detector)
    seen = detector.seen
    renamed = {f"other-{name}": content for name, content in files.items()}
    again = measured(tmp_path, renamed, detector)
    assert detector.seen == seen
    assert again.facts == first.facts
    measured(tmp_path, renamed | {"new.jpg": jpeg(face(77))}, detector)
    assert detector.seen == seen + 1


def test_bytes_depend_on_the_files_alone(tmp_path):
    """Whatever order, whatever batches, whatever workers, with or without a break."""
    files = whole_files() | broken_files() | {f"{n}.jpg": jpeg(face(n)) for n in range(100, 150)}
    wanted = None
    for turn, workers in enumerate((1, 2, 5)):
        detector = StandIn()
        detector.workers = workers
        root = tmp_path / str(turn)
        names = list(np.random.default_rng(turn).permutation(list(files)))
        if turn:
            measured(root, {name: files[name] for name in names[:20]}, detector)
        measured(root, {name: files[name] for name in names}, detector)
        content = (root / measure.NAME).read_bytes()
        assert wanted in (None, content)
        wanted = content


def test_a_cut_line_costs_one_file(tmp_path):
    """As a kill in the midst of a write leaves it."""
    files = whole_files()
    wanted = measured(tmp_path, files, StandIn()).facts
    path = tmp_path / measure.NAME
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    # a second kill, before the file was tidied
    measure.measure(tmp_path, write(tmp_path, files), measure.Store(tmp_path), StandIn())
    assert measure.Store(tmp_path).facts == wanted
    path.write_bytes(whole[:-40])
    detector = StandIn()
    assert measured(tmp_path, files, detector).facts == wanted
    assert detector.seen == 1
    assert path.read_bytes() == whole


@pytest.mark.parametrize("header", [{"version": 0}, "text", None])
def test_findings_of_another_detector_do_not_count(tmp_path, header):
    files = whole_files()
    measured(tmp_path, files, StandIn())
    path = tmp_path / measure.NAME
    lines = path.read_text().splitlines()[1:]
    path.write_text("\n".join(([] if header is None else [json.dumps(header)]) + lines))
    detector = StandIn()
    measured(tmp_path, files, detector)
    assert detector.seen == len(files)
    assert measure.Store(tmp_path).facts.keys() == {
        hashlib.sha256(content).hexdigest() for content in files.values()
    }
