"""Damaged files, found by scripts/fuzz.py, that ended in tracebacks or used too much memory."""

import io
import struct
import zipfile

import pytest
from PIL import EpsImagePlugin, Image, ImageFile

from faceemo.data.measure.decode import decode, read_grey
from faceemo.data.source import archive
from faceemo.errors import UserError
from tests.support.data.good_zip import GOOD, ONE, write_zip


def check_refused(root, content, message):
    (root / archive.ZIP).write_bytes(content)
    with pytest.raises(UserError, match=message):
        archive.ensure_originals(root)
    assert [path.name for path in root.iterdir()] == [archive.ZIP]


def test_damaged_bzip2_is_refused(tmp_path):
    """The decompressor raises an OSError, as a failing disk does."""
    content = bytearray((write_zip(tmp_path, GOOD, zipfile.ZIP_BZIP2) / archive.ZIP).read_bytes())
    at = content.index(b"BZh") + 4  # the first block's magic number
    content[at : at + 4] = b"\xff" * 4
    check_refused(tmp_path, bytes(content), "damaged")


def test_a_member_before_the_start_of_the_file_is_refused(tmp_path):
    content = bytearray((write_zip(tmp_path) / archive.ZIP).read_bytes())
    end = content.rindex(b"PK\x05\x06")
    (at,) = struct.unpack_from("<I", content, end + 16)
    # zipfile shifts the positions of all members by the error in the directory's position
    struct.pack_into("<I", content, end + 16, at + 1000)
    check_refused(tmp_path, bytes(content), "damaged")


def test_a_name_that_is_not_utf_8_is_refused(tmp_path):
    name = ONE.replace("7", "é")
    files = {name if path == ONE else path: text for path, text in GOOD.items()}
    content = (write_zip(tmp_path, files) / archive.ZIP).read_bytes()
    assert content.count("é".encode()) == 2
    check_refused(tmp_path, content.replace("é".encode(), b"\xc3\xc3"), "damaged.*utf-8")


def test_a_failing_disk_is_not_reported_as_a_damaged_zip(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(zipfile.ZipFile, "read", fail)
    with pytest.raises(OSError, match="Input/output"):
        archive.ensure_originals(write_zip(tmp_path))


def encode_blank(size, kind="PNG", mode="L"):
    stream = io.BytesIO()
    Image.new(mode, size, 90).save(stream, kind)
    return stream.getvalue()


def test_a_small_file_of_millions_of_pixels_is_not_decoded(monkeypatch):
    content = encode_blank((8000, 4000))
    assert len(content) < 40_000
    decoded = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded.append)
    assert "8,000 × 4,000 pixels in" in decode(content).problem
    assert not decoded


def test_large_photographs_and_flat_images_are_decoded():
    assert (
        decode(encode_blank((6000, 4000), "JPEG")).pixels is not None
    )  # the smallest JPEG of its size
    assert decode(encode_blank((4000, 4000))).pixels is not None


def test_postscript_is_not_executed(monkeypatch, tmp_path):
    ran = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: ran.append(1))
    content = encode_blank((60, 60), "EPS")
    assert "not run" in decode(content).problem
    path = tmp_path / "face.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not run"):
        read_grey(path, 48)
    assert not ran


def test_a_member_without_a_name_is_refused(tmp_path):
    content = (write_zip(tmp_path) / archive.ZIP).read_bytes()
    name = ONE.encode()
    check_refused(tmp_path, content.replace(name, b"\0" + name[1:]), "NUL")
    check_refused(
        tmp_path, content.replace(name, b"." + b"/." * (len(name) // 2)), "without a name"
    )
