"""Tests of what is read in a folder: by content, through links, each file with its reason."""

import gzip
import io
import os
import struct
import tracemalloc
import zipfile
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from faceemo.data.measure import decode
from faceemo.errors import UserError
from faceemo.inference.file_kinds import FILM, IMAGE, OTHER, UNREADABLE, Content, recognise
from faceemo.inference.film.animation import Animation
from faceemo.inference.images import load_images
from faceemo.inference.inputs import describe_others, find_inputs
from tests.support.inference import films


def list_names(folder, kind):
    return {
        one.path.relative_to(folder).as_posix() for one in find_inputs([folder]) if one.kind == kind
    }


def transport_stream(prefix):
    """Makes null packets of MPEG-TS, each after `prefix` bytes as camcorders write them."""
    return (bytes(prefix) + b"\x47\x1f\xff\x10" + b"\xff" * 184) * 4


@pytest.mark.parametrize(
    ("name", "content", "kind", "reason"),
    [
        ("album.pdf", b"%PDF-1.4\n", OTHER, "not an image or video (PDF)"),
        ("scan.jpg", b"%PDF-1.4\n", UNREADABLE, "not an image or video (PDF)"),
        ("weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(99), OTHER, "not an image or video (HDF5)"),
        ("page.jpg", b"<!doctype HTML><p>", UNREADABLE, "not an image or video (HTML)"),
        ("notes", b"cut in \xc3", OTHER, "not an image or video (text)"),
        ("code.ts", b"export const get = 1\n", OTHER, "not an image or video (text)"),
        ("GGG.fasta", b"ACGT" * 1000, OTHER, "not an image or video (text)"),
        ("thing.bin", bytes(range(7)) * 99, OTHER, "not an image or video"),
        ("song.mp3", b"ID3\x04" + bytes(99), OTHER, "not an image or video (sound)"),
        ("song.m4a", b"\0\0\0\x1cftypM4A " + bytes(99), OTHER, "not an image or video"),
        ("empty.jpg", b"", UNREADABLE, "an empty file"),
        ("empty.txt", b"", OTHER, "an empty file"),
        ("._a.jpg", b"\0\x05\x16\x07" + bytes(99), OTHER, "(metadata of macOS)"),
        ("a.nef", b"MM\0*" + bytes(99), UNREADABLE, "a raw photograph (NEF)"),
        ("b.CR3", b"\0\0\0\x18ftypcrx " + bytes(99), UNREADABLE, "a raw photograph (CR3)"),
        ("c.jxl", b"\xff\x0a" + bytes(99), UNREADABLE, "a JPEG XL image"),
        ("cut.png", b"\x89PNG\r\n\x1a\n", IMAGE, ""),
        ("cut", b"\xff\xd8\xff\xe0 and no more", IMAGE, ""),
        ("IMG_1", b"\0\0\0\x1cftypheic" + bytes(99), IMAGE, ""),
        ("noise.jpg", bytes(range(7)) * 99, IMAGE, ""),  # the decoder gives the reason
        ("noise.mkv", bytes(range(7)) * 99, FILM, ""),
        ("old.mov", b"\0\0\0\x08wide\0\0\0\0mdat" + bytes(99), FILM, ""),
        ("clip", transport_stream(0), FILM, ""),
        ("clip.MTS", transport_stream(4), FILM, ""),
    ],
)
def test_the_content_decides_and_the_reason_is_true(tmp_path, name, content, kind, reason):
    path = tmp_path / name
    path.write_bytes(content)
    found = recognise(path)
    assert found.kind == kind
    assert reason in found.reason
    assert bool(found.reason) == (kind in (OTHER, UNREADABLE))


def test_other_programs_files_are_recognised(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.docx", "w") as archive:
        archive.writestr("word.xml", "<x/>")
    (tmp_path / "b").write_bytes(gzip.compress(b"x"))
    np.save(tmp_path / "c.npy", np.zeros(3))
    assert [recognise(tmp_path / name).reason[22:] for name in ("a.docx", "b", "c.npy")] == [
        *("(ZIP)", "(gzip)", "(NumPy)")
    ]


@pytest.mark.parametrize(
    ("suffix", "fourcc", "container"),
    [
        *((".avi", "MJPG", "AVI"), (".mkv", "mp4v", "Matroska"), (".mp4", "mp4v", "MP4")),
        *((".flv", "FLV1", "Flash Video"), (".ts", "mp4v", "MPEG-TS"), (".3gp", "mp4v", "MP4")),
        *((".wmv", "WMV2", "Windows Media"), (".mpg", "PIM1", "MPEG")),
    ],
)
def test_films_of_all_containers_are_recognised_without_their_endings(
    tmp_path, suffix, fourcc, container
):
    film = films.write(tmp_path / f"film{suffix}", frames=3, fourcc=fourcc)
    if not film.exists():
        pytest.skip("OpenCV has no such encoder here")
    content = recognise(film.rename(tmp_path / "film"))
    assert (content.kind, content.name) == (FILM, container)


def test_images_of_all_formats_are_recognised_without_their_endings(tmp_path):
    image = Image.fromarray(np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3))
    for name in ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP"):
        image.save(tmp_path / name, name)
        assert recognise(tmp_path / name).kind == IMAGE, name
    image.save(tmp_path / "pages", "TIFF", save_all=True, append_images=[image])
    assert recognise(tmp_path / "pages").kind == IMAGE


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF"])
def test_an_animated_image_is_a_film(tmp_path, kind):
    path = tmp_path / "a"
    greys = (40, 120, 200, 80)
    frames = [Image.new("RGB", (64, 48), (grey,) * 3) for grey in greys]
    frames[0].save(
        path, kind, save_all=True, append_images=frames[1:], duration=[100, 300, 50, 100]
    )
    content = recognise(path)
    assert (content.kind, content.name) == (FILM, kind)
    film = Animation(path, every=2, start=10)
    assert film.frame_count == 2
    found = list(film.read_frames())
    assert [one.index for one in found] == [10, 12]
    assert [one.name for one in found] == [f"{path}#0", f"{path}#2"]
    assert [one.time for one in found] == pytest.approx([0, 0.4])
    assert [float(one.pixels.grey.mean()) for one in found] == pytest.approx([40, 200], abs=3)
    assert found[0].pixels.bgr.shape == (48, 64, 3)
    assert film.next_index == 14


def test_a_truncated_animation_ends_with_the_problem(tmp_path):
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(0, 256, (64, 64), np.uint8)) for _ in range(4)]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    path.write_bytes(path.read_bytes()[:-2000])
    *whole, last = Animation(path).read_frames()
    assert all(one.pixels for one in whole)
    assert last.pixels is None
    assert "truncated" in last.problem


def test_linked_folders_are_read_once_and_circles_end(tmp_path):
    folder, elsewhere = tmp_path / "in", tmp_path / "elsewhere"
    (folder / "sub").mkdir(parents=True)
    elsewhere.mkdir()
    for place in (folder, folder / "sub", elsewhere):
        Image.new("L", (8, 8)).save(place / "a.png")
    (folder / "a link").symlink_to(elsewhere)
    (folder / "again").symlink_to(elsewhere)
    (folder / "sub" / "circle").symlink_to(folder)
    (elsewhere / "back").symlink_to(folder / "sub")
    (folder / "self").symlink_to("self")
    (folder / "gone.png").symlink_to("nowhere.png")
    assert list_names(folder, IMAGE) == {"a.png", "sub/a.png", "a link/a.png"}
    assert list_names(folder, OTHER) == {"again", "sub/circle", "a link/back"}
    assert list_names(folder, UNREADABLE) == {"self", "gone.png"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    assert list_names(tmp_path, OTHER) == {"pipe.jpg"}


def test_a_folder_with_nothing_to_predict_on_is_refused_with_the_reason(tmp_path):
    with pytest.raises(UserError, match=r"an image in .*, or below it; found no file"):
        find_inputs([tmp_path])
    (tmp_path / "album.pdf").write_bytes(b"%PDF-1.4\n")
    (tmp_path / "b.txt").write_text("b")
    with pytest.raises(UserError, match=r"album\.pdf: not an image or video \(PDF\), and 1 more"):
        find_inputs([tmp_path])


def test_many_other_files_are_listed_by_their_reasons(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    for number in range(30):
        (tmp_path / f"{number:02}.txt").write_text("a label")
    (tmp_path / "album.pdf").write_bytes(b"%PDF-1.4\n")
    assert describe_others(find_inputs([tmp_path])) == [
        f"30, such as {tmp_path / '00.txt'}: not an image or video (text)",
        f"1, such as {tmp_path / 'album.pdf'}: not an image or video (PDF)",
    ]


def test_an_image_recognised_is_an_image_decoded(tmp_path):
    """What OpenCV writes is what both readers see."""
    for suffix in (".jpg", ".png", ".webp", ".tiff", ".bmp"):
        _, content = cv2.imencode(suffix, np.full((9, 9), 70, np.uint8))
        (tmp_path / "a").write_bytes(content.tobytes())
        assert recognise(tmp_path / "a").kind == IMAGE
        assert decode.decode(content.tobytes()).pixels is not None


def test_an_animation_that_claims_millions_of_pixels_is_not_decoded(tmp_path):
    """Its 200 bytes took 3 GB and seven seconds."""
    path = tmp_path / "film.gif"
    frame = Image.new("L", (40, 40))
    frame.save(path, save_all=True, append_images=[Image.new("L", (40, 40), 9)])
    content = bytearray(path.read_bytes())
    content[6:10] = struct.pack("<HH", 9000, 9000)
    path.write_bytes(content)
    (image,) = load_images(path)
    assert "decompression bomb" in image.problem


@pytest.mark.parametrize("length", [10, 10_000])
def test_an_animated_png_is_a_film_however_long_the_text_before_its_frames_is(tmp_path, length):
    frames = [Image.new("L", (40, 40), level) for level in (0, 90, 200)]
    stream = io.BytesIO()
    frames[0].save(stream, "PNG", save_all=True, append_images=frames[1:])
    content = stream.getvalue()
    data = b"tEXtComment\0" + b"x" * length
    text = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    (tmp_path / "film.png").write_bytes(content[:33] + text + content[33:])  # after IHDR
    frames[0].save(tmp_path / "still.png")
    assert recognise(tmp_path / "film.png") == Content(FILM, "PNG")
    assert recognise(tmp_path / "still.png") == Content(IMAGE)


def test_a_large_png_is_recognised_without_being_read(tmp_path):
    path = tmp_path / "large.png"
    Image.new("L", (40, 40)).save(path)
    os.truncate(path, 200_000_000)  # a sparse file
    tracemalloc.start()
    assert recognise(path) == Content(IMAGE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
