"""Orientation by every kind of metadata, and metadata that is damaged or too long."""

import io
import struct
import time
import zlib

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from faceemo.data.measure import metadata
from faceemo.data.measure.decode import Pixels, decode
from tests.support.data.faces import face

_ORIENTATION = 0x0112
_SIDEWAYS = range(5, 9)


def picture():
    """Returns a small photograph without any symmetry, RGB."""
    grey = face(3, 64)[:, 8:56]
    return Image.fromarray(np.stack([grey, grey // 2, 255 - grey], -1))


def exif_of(orientation, order="II"):
    exif = Image.Exif()
    exif.endian = {"II": "<", "MM": ">"}[order]
    exif[_ORIENTATION] = orientation
    return exif.tobytes()


def xmp_of(orientation, quote='"'):
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description '
        f"tiff:Orientation={quote}{orientation}{quote}/></x:xmpmeta>"
    ).encode()


def stored(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(*chunks, content=None):
    """Returns the PNG of the picture, or `content`, with further chunks before its pixels."""
    content = content or stored(picture(), "PNG")
    start = content.index(b"IDAT") - 4
    return content[:start] + b"".join(chunks) + content[start:]


def jpeg_with(*segments, orientation=None):
    """Returns the JPEG of the picture with further segments (marker, data) at its start."""
    exif = {"exif": exif_of(orientation)} if orientation else {}
    content = stored(picture(), "JPEG", quality=95, **exif)
    inserted = [
        b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data
        for marker, data in segments
    ]
    return content[:2] + b"".join(inserted) + content[2:]


def raw_profile(orientation):
    """Returns EXIF as ImageMagick writes it into the texts of a PNG."""
    data = exif_of(orientation)
    return f"\nexif\n{len(data):8}\n{data.hex()}\n".encode()


def upright_by_pillow(content):
    with Image.open(io.BytesIO(content)) as image:
        return ImageOps.exif_transpose(image)


def check_pixels(content, expected):
    """Checks that both forms of the decoded pixels equal an upright RGB image of Pillow's."""
    decoded = decode(content)
    assert decoded.problem == ""
    pixels = decoded.pixels
    assert pixels.size == expected.size
    np.testing.assert_array_equal(pixels.grey, np.asarray(expected.convert("L")))
    np.testing.assert_array_equal(pixels.bgr[..., ::-1], np.asarray(expected.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("source", ["exif", "big-endian exif", "xmp"])
def test_both_forms_are_turned_as_pillow_turns_them(kind, source, orientation):
    options = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    if source == "xmp":
        if kind == "PNG":
            options["pnginfo"] = PngImagePlugin.PngInfo()
            options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp_of(orientation).decode())
        elif kind == "TIFF":
            options["tiffinfo"] = {700: xmp_of(orientation)}
        else:
            options["xmp"] = xmp_of(orientation)
    else:
        options["exif"] = exif_of(orientation, "II" if source == "exif" else "MM")
    content = stored(picture(), kind, **options)
    expected = upright_by_pillow(content)
    assert (expected.size != picture().size) == (orientation in _SIDEWAYS)
    check_pixels(content, expected)
    with Image.open(io.BytesIO(content)) as image:
        pixels = Pixels.from_image(image)
    np.testing.assert_array_equal(pixels.bgr[..., ::-1], np.asarray(expected))
    assert pixels.size == expected.size


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_the_container_of_avif_and_heif_tells_the_orientation(kind, orientation):
    if kind == "HEIF" and not pillow_heif.libheif_info()["HEIF"]:
        pytest.skip("this libheif has no encoder")
    turned = picture()
    image_exif = Image.Exif()
    image_exif[_ORIENTATION] = orientation
    content = stored(turned, kind, exif=image_exif.tobytes(), quality=95)
    turned.getexif()[_ORIENTATION] = orientation
    expected = ImageOps.exif_transpose(turned)
    pixels = decode(content).pixels
    assert pixels.grey.shape == expected.size[::-1]
    for found, right in (
        (pixels.grey, np.asarray(expected.convert("L"))),
        (pixels.bgr[..., ::-1], np.asarray(expected)),
    ):
        assert np.abs(found.astype(int) - right).mean() < 8  # of 255: the formats lose a little


@pytest.mark.parametrize(
    ("content", "orientation"),
    [
        (png_with(chunk(b"tEXt", b"Raw profile type exif\0" + raw_profile(6))), 6),
        (png_with(chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw_profile(8)))), 8),
        (png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp_of(5)))), 5),
        (png_with(chunk(b"eXIf", exif_of(3)[6:])), 3),
        (stored(picture(), "PNG")[:-12] + chunk(b"eXIf", exif_of(6)[6:]) + chunk(b"IEND", b""), 6),
        (jpeg_with((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp_of(7, "'"))), 7),
        # EXIF goes before XMP, as in Pillow, whatever it says
        (jpeg_with((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp_of(6)), orientation=1), 1),
        (jpeg_with((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp_of(6)), orientation=9), 1),
    ],
)
def test_rarer_places_of_the_orientation(content, orientation):
    with Image.open(io.BytesIO(content)) as image:
        plain = image.convert("RGB")
    plain.getexif()[_ORIENTATION] = orientation
    check_pixels(content, ImageOps.exif_transpose(plain))


_LONG_TEXT = b"Comment\0\0" + zlib.compress(bytes(2**21))  # Pillow's limit is half of that
_GOOD_EXIF = chunk(b"eXIf", exif_of(6)[6:])


def with_wrong_length(content, kind, length):
    start = content.index(kind) - 4
    return content[:start] + struct.pack(">I", length) + content[start + 4 :]


@pytest.mark.parametrize(
    "content",
    [
        png_with(chunk(b"zTXt", _LONG_TEXT), _GOOD_EXIF),
        png_with(_GOOD_EXIF, chunk(b"tEXt", b"Comment\0" + bytes(100))[:-1] + b"x"),
        png_with(_GOOD_EXIF, chunk(b"zTXt", b"Comment\0\0no zlib stream")),
        png_with(_GOOD_EXIF, *[chunk(b"tEXt", b"Comment\0" + bytes(2**20 - 9))] * 65),
        png_with(_GOOD_EXIF, chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + _LONG_TEXT[9:])),
        png_with(_GOOD_EXIF, chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(2**21)))),
        png_with(_GOOD_EXIF, chunk(b"iCCP", b"")),
        png_with(_GOOD_EXIF, chunk(b"tRNS", b"")),
        with_wrong_length(png_with(_GOOD_EXIF, chunk(b"tEXt", b"C\0" + bytes(9))), b"tEXt", 3000),
        with_wrong_length(png_with(_GOOD_EXIF, chunk(b"tEXt", b"C\0" + bytes(9))), b"tEXt", 2**31),
        with_wrong_length(png_with(_GOOD_EXIF, chunk(b"tEXt", b"C\0" + bytes(9))), b"tEXt", 5),
        stored(picture(), "PNG")[:-12] + _GOOD_EXIF + chunk(b"tEXt", b"cut off" * 99)[:-300],
    ],
)
def test_damaged_metadata_of_a_png_is_no_obstacle(content):
    check_pixels(content, picture().transpose(Image.Transpose.ROTATE_270))


@pytest.mark.parametrize("orientation", [None, 6])
@pytest.mark.parametrize(
    "segment",
    [
        (0xE2, b"ICC_PROFILE\0"),
        (0xE2, b"ICC_PROFILE\0\1\3" + bytes(2000)),
        (0xE2, b"MPF\0MM\0*\0\0\0\x08\0\1" + bytes(10)),
        (0xE2, b"MPF\0 no directory"),
        (0xED, b"Photoshop 3.0\0" + b"8BIM"),
        (0xED, b"Photoshop 3.0\0" + b"8BIM\x03\xed\0\0\0\0\0\2" + bytes(2)),
        (0xE0, b"JFIF\0"),
        (0xEE, b"Adobe"),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0 tiff:Orientation=" + b"\xff" * 60_000),
        (0xFE, bytes(65_000)),
    ],
)
def test_damaged_metadata_of_a_jpeg_is_no_obstacle(segment, orientation):
    expected = upright_by_pillow(jpeg_with(orientation=orientation))
    check_pixels(jpeg_with(segment, orientation=orientation), expected)


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0II*\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(50),
        b"Exif\0\0no header of a TIFF file",
        b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\2\0\0\0\1\0\0\0\0",  # the orientation is a text
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_is_no_obstacle(kind, exif):
    plain = stored(picture(), kind)
    with Image.open(io.BytesIO(plain)) as image:
        expected = image.convert("RGB")
    if kind == "PNG":
        content = png_with(chunk(b"eXIf", exif[6:]))
    elif kind == "JPEG":
        content = stored(picture(), kind)
        content = content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:]
    elif kind == "WEBP":
        content = stored(picture(), kind, exif=exif)
    else:
        camera = Image.Exif()
        camera[0x010F] = "a camera's maker"
        content = stored(picture(), kind, exif=camera.tobytes())
        body = camera.tobytes()[6:]
        assert content.count(body) == 1
        content = content.replace(body, exif[6:].ljust(len(body), b"\0")[: len(body)])
    check_pixels(content, expected)


def test_xmp_counts_where_exif_is_damaged():
    xmp = (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp_of(6))
    damaged = (0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff")
    expected = upright_by_pillow(jpeg_with(xmp))
    assert expected.size == picture().size[::-1]
    check_pixels(jpeg_with(damaged, xmp), expected)


# The modes in which files of a kind usually are. OpenCV multiplied a TIFF by its transparency.
_USUAL_MODES = {
    **dict.fromkeys(["JPEG", "GIF", "PPM"], ("L", "RGB")),
    "TIFF": ("L", "RGB", "P", "1"),
    **dict.fromkeys(["PNG", "BMP", "WEBP"], ("L", "RGB", "P", "RGBA", "1")),
}


@pytest.mark.parametrize(
    ("kind", "mode"), [(kind, mode) for kind, modes in _USUAL_MODES.items() for mode in modes]
)
def test_ordinary_images_have_the_pixels_that_they_always_had(kind, mode):
    """OpenCV decoded for the detector until it disagreed with Pillow about orientation."""
    image = Image.fromarray(face(3, 64)) if mode == "L" else picture().convert(mode)
    content = stored(image, kind)
    pixels = decode(content).pixels
    with Image.open(io.BytesIO(content)) as opened:
        np.testing.assert_array_equal(pixels.grey, np.asarray(opened.convert("RGBA").convert("L")))
    bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(pixels.bgr, bgr)


def test_a_damaged_picture_is_still_refused():
    whole = stored(picture(), "JPEG", quality=95)
    assert "truncated" in decode(whole[:-200]).problem
    png = stored(picture(), "PNG")
    assert "truncated" in decode(png[: len(png) // 2]).problem
    middle = png.index(b"IDAT") + 60
    assert decode(png[:middle] + bytes(40) + png[middle + 40 :]).pixels is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff\xd8" + b"\xff\xfe\0\2" * 500_000 + b"\xff\xda", "segments"),
        (b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0tEXtnope" * 40_000, "damaged chunks"),
    ],
)
def test_metadata_that_is_made_to_take_long_is_refused_soon(content, problem):
    """The second file is half a megabyte and took a minute; each is refused in a tenth."""
    begin = time.process_time()
    with pytest.raises(ValueError, match=problem):
        metadata.separate(content)
    assert time.process_time() - begin < 5


def test_exif_that_begins_a_million_times_is_read_soon():
    begin = time.process_time()
    content = png_with(chunk(b"eXIf", b"Exif\0\0" * 1_000_000 + exif_of(6)))
    assert metadata.separate(content)[1] == 6
    assert time.process_time() - begin < 5


def test_the_size_of_a_turned_png_is_judged_before_its_pixels_are_decoded(monkeypatch):
    """A PNG of a kilobyte may claim 40 x 67 million pixels, for which Pillow reserves gigabytes."""
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (40, 40)).save(stream, "PNG", exif=exif)
    content = bytearray(stream.getvalue())
    content[20:24] = struct.pack(">I", 67_108_904)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    monkeypatch.setattr(
        PngImagePlugin.PngImageFile, "load", lambda self: pytest.fail("pixels were decoded")
    )
    found = decode(bytes(content))
    assert (found.width, found.height) == (40, 67_108_904)
    assert "a decompression bomb" in found.problem
