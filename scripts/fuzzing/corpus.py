"""Valid files and requests, generated in code, that the fuzzer damages."""

import functools
import io
import itertools
import re
import warnings
import zipfile
from collections.abc import Mapping

import numpy as np
import pillow_heif
from PIL import Image, ImageCms, PngImagePlugin

from faceemo.config import CLASSES
from faceemo.data.sample.draw_face import draw_face

from .metadata import make_xmp

pillow_heif.register_heif_opener()

_SIZE = 40  # pixels; in small files a mutation is more likely to hit structure than pixels
_ORIENTATION = 0x0112  # EXIF's tag
_AVIF_TIMES = re.compile(rb"((?:mvhd|tkhd|mdhd)\x01.{3}).{16}", re.DOTALL)
_PROFILE_DATE = slice(24, 36)
_MAX_BYTES_IN_ZIP = 20_000  # of an image, so that a zip of all of them stays small
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
# Formats that are written with default settings; OpenCV reads half of them.
_PLAIN_FORMATS = ("AVIF", "BMP", "DDS", "DIB", "EPS", "HEIF", "ICNS", "ICO", "IM", "JPEG2000",
          "MPO", "PCX", "PPM", "QOI", "SGI", "TGA")  # fmt: skip
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


@functools.cache
def draw_image(number: int, size: int = _SIZE) -> Image.Image:
    """Draws a grey face; `number` determines which."""
    drawn = draw_face(np.random.default_rng(number), CLASSES[number % len(CLASSES)])
    return Image.fromarray(drawn).resize((size, size))


@functools.cache
def images() -> Mapping[str, bytes]:
    """Makes image files of every format, as {file name: content}."""
    grey, colour = draw_image(0), Image.merge("RGB", [draw_image(number) for number in (0, 1, 2)])
    files = {f"plain.{kind.lower()}": _encode(colour, kind) for kind in _PLAIN_FORMATS}
    files |= {
        f"{mode.replace(';', '')}.png": _encode(_draw_in_mode(mode), "PNG") for mode in _PNG_MODES
    }
    files |= {f"{name}.tif": _encode(colour, "TIFF", compression=name) for name in
              ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")}  # fmt: skip
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    floating = Image.fromarray(np.asarray(grey) / np.float32(255))
    several = {"save_all": True, "append_images": [draw_image(1), draw_image(2)]}
    clear = colour.convert("RGBA")
    clear.putalpha(grey)
    moving = {"save_all": True, "append_images": [clear.rotate(90), clear.rotate(180)]}
    return (
        files
        | _images_with_metadata()
        | {
            "grey.jpg": _encode(grey, "JPEG"),
            "colour.jpg": _encode(colour, "JPEG", quality=60),
            "progressive.jpg": _encode(colour, "JPEG", progressive=True),
            "cmyk.jpg": _encode(colour.convert("CMYK"), "JPEG"),
            "moving.png": _encode(grey, "PNG", **several),
            "plain.gif": _encode(grey, "GIF"),
            "moving.gif": _encode(grey, "GIF", **several),
            "lossy.webp": _encode(colour, "WEBP"),
            "lossless.webp": _encode(colour.convert("RGBA"), "WEBP", lossless=True),
            "moving.webp": _encode(colour, "WEBP", **several),
            "moving.avif": _encode(colour, "AVIF", **several),
            "clear.heic": _encode(clear, "HEIF"),
            "several.heic": _encode(colour, "HEIF", **several),
            "clear moving.avif": _encode(clear, "AVIF", **moving),
            "clear moving.gif": _encode(clear, "GIF", duration=[0, 40, 70], disposal=2, **moving),
            "clear moving.png": _encode(clear, "PNG", duration=40, disposal=1, blend=1, **moving),
            "clear moving.webp": _encode(clear, "WEBP", duration=40, **moving),
            "wide.tif": _encode(wide, "TIFF"),
            "float.tif": _encode(floating, "TIFF"),
            "pages.tif": _encode(grey, "TIFF", **several),
            "photo.jpg": _encode(_draw_photo(), "JPEG"),
        }
    )


@functools.cache
def zips() -> Mapping[str, bytes]:
    """Makes zips of images in every layout, compression and way to write names."""
    splits = {
        f"Facial_emotion_images/{split}/{label}/{number}.jpg": _encode(draw_image(number), "JPEG")
        for number, (split, label) in enumerate(
            itertools.product(("train", "validation", "test"), CLASSES)
        )
    }
    classes = {name.split("/", 2)[2]: content for name, content in splits.items()}
    persons = {name.replace("/", "/anna/", 1): content for name, content in classes.items()}
    formats = {
        f"{CLASSES[number % len(CLASSES)]}/{name}": content
        for number, (name, content) in enumerate(images().items())
        if len(content) <= _MAX_BYTES_IN_ZIP
    }
    renamed = {
        "backslashes": lambda name: name.replace("/", "\\"),
        "dots": lambda name: f"./{name.replace('/', '/./')}",
        "slashes": lambda name: name.replace("/", "//"),
        "colons": lambda name: name.replace(".jpg", " 12:30:59.jpg"),
        "latin-1": lambda name: name.replace(".jpg", "\udcfc.jpg"),
        "unmarked UTF-8": lambda name: name.replace(".jpg", "\udcc3\udcbc.jpg"),
        "shift-jis": lambda name: name.replace(".jpg", "\udc95\\.jpg"),
        "macOS": lambda name: f"__MACOSX/{name.replace('.jpg', '/._1.jpg')}",
    }
    files = {f"splits {method}.zip": make_zip(splits, method) for method in ZIP_METHODS}
    files |= {
        f"{kind}.zip": make_zip({rename(name): content for name, content in splits.items()})
        for kind, rename in renamed.items()
    }
    return files | {
        "classes.zip": make_zip(classes),
        "persons.zip": make_zip(persons),
        "persons in splits.zip": make_zip({f"train/{name}": one for name, one in persons.items()}),
        "formats.zip": make_zip(formats),
    }


@functools.cache
def requests() -> Mapping[str, bytes]:
    """Makes HTTP/1.1 requests: one for every path of the server, and uploads of every image."""
    files = {f"{name}.http": make_upload(content) for name, content in images().items()}
    files |= {
        f"{number}.http": make_upload(images()["grey.jpg"], f"/api/predict?{options}")
        for number, options in enumerate(
            ("heat=true", "crops=1", "heat=1&crops=true", "x=y", "region=0,0,40,40&thumbnails=1")
        )
    }
    files |= {
        "several.http": make_upload(images()["grey.jpg"], field="files"),
        "body.http": make_body(images()["grey.jpg"], "/api/predict"),
        "preview.http": make_body(images()["grey.jpg"], "/api/preview"),
    }
    paths = (*server_paths(), "/nothing", "/../etc/passwd")
    return files | {
        f"get {number}.http": f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        for number, path in enumerate(paths)
    }


@functools.cache
def server_paths() -> tuple[str, ...]:
    """Returns every path that the server's app defines."""
    # Imported here because other targets need neither JAX nor the extra 'serve'.
    from faceemo.inference.predictor import Predictor
    from faceemo.inference.serve.app import make_app

    from .network import small_network

    return tuple(make_app(Predictor(small_network(draw=False))).paths)


def make_upload(
    content: bytes, path: str = "/api/predict", field: str = "file", length: int | None = None
) -> bytes:
    """Makes a request that uploads an image; `length` replaces the true Content-Length."""
    body = (
        (
            f'--edge\r\nContent-Disposition: form-data; name="{field}"; filename="a.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n"
        ).encode()
        + content
        + b"\r\n--edge--\r\n"
    )
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: multipart/form-data; boundary=edge\r\n"
        f"Content-Length: {len(body) if length is None else length}\r\n\r\n"
    )
    return head.encode(errors="replace") + body


def make_body(content: bytes, path: str) -> bytes:
    """Makes a request whose body is an image."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def make_zip(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Makes a zip of {name: content} with one compression method of `zipfile`.

    Names with bytes that are escaped as surrogates are stored as these bytes, without a mark of
    their encoding.
    """
    stream = io.BytesIO()
    unmarked: dict[bytes, bytes] = {}
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", method) as archive:
        # Names in a zip end at a zero byte, so that two may become equal; that is a valid input.
        warnings.filterwarnings("ignore", "Duplicate name")
        for name, content in files.items():
            if not _is_utf8(name):
                raw = name.encode(errors="surrogateescape")
                stand_in = re.sub(rb"[^\0-\x7f]", b"~", raw)
                unmarked[stand_in] = raw
                name = stand_in.decode("ascii")
            info = zipfile.ZipInfo(name)  # without a date, so that equal files give equal zips
            info.compress_type = method
            archive.writestr(info, content)
    made = stream.getvalue()
    for stand_in, raw in unmarked.items():
        made = made.replace(stand_in, raw)
    return made


def _is_utf8(name: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _images_with_metadata() -> dict[str, bytes]:
    grey, colour = draw_image(0), Image.merge("RGB", [draw_image(number) for number in (0, 1, 2)])
    exif = Image.Exif()
    exif[_ORIENTATION] = 6
    xmp = make_xmp(6)
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_PROFILE_DATE] = bytes(12)  # so that equal images give equal files
    texts, turned = PngImagePlugin.PngInfo(), PngImagePlugin.PngInfo()
    texts.add_text("Comment", "a face")
    texts.add_text("Description", "a face " * 9, zip=True)
    digits = (b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")).hex()
    texts.add_text("Raw profile type exif", f"\nexif\n{len(digits) // 2:8}\n{digits}\n", zip=True)
    turned.add_itxt("XML:com.adobe.xmp", xmp.decode())
    return {
        "turned.jpg": _encode(grey, "JPEG", exif=exif),
        "text.png": _encode(grey, "PNG", exif=exif),
        "texts.png": _encode(grey, "PNG", pnginfo=texts),
        "xmp.jpg": _encode(grey, "JPEG", xmp=xmp, comment=b"a face"),
        "xmp.png": _encode(grey, "PNG", pnginfo=turned),
        "profile.jpg": _encode(colour, "JPEG", icc_profile=bytes(profile)),
        "profile.png": _encode(colour, "PNG", icc_profile=bytes(profile)),
        **{
            f"{name}.{suffix}": _encode(colour, kind, **{name: value})
            for suffix, kind in (("avif", "AVIF"), ("heic", "HEIF"), ("webp", "WEBP"))
            for name, value in (("exif", exif.tobytes()), ("xmp", xmp))
        },
    }


def _draw_in_mode(mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(draw_image(0)).astype(np.uint16) * 257)
    return draw_image(0).convert("RGB").convert(mode)


def _draw_photo() -> Image.Image:
    """Draws two faces in a wide image, in which the detector searches at two scales."""
    canvas = Image.new("RGB", (400, 240), (90, 120, 60))
    for number, corner in enumerate(((30, 40), (220, 60))):
        canvas.paste(draw_image(number + 3, 150), corner)
    return canvas


def _encode(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.copy().save(stream, kind, **options)  # on a copy, because Pillow keeps the settings
    # A film of AVIF holds the time at which it was made.
    return _AVIF_TIMES.sub(lambda match: match[1] + bytes(16), stream.getvalue())
