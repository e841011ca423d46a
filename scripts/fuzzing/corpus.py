"""Valid files, made in code, that the fuzzer damages."""

import functools
import io
import itertools
import warnings
import zipfile
from collections.abc import Mapping

import numpy as np
from PIL import Image

from faceemo.config import CLASSES
from faceemo.data.sample.draw_face import draw_face
from faceemo.data.source import fer_csv

_SIDE = 40  # pixels: small files, of which a mutation meets the structure, not the noise
_ORIENTATION = 0x0112  # EXIF's tag
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
# What Pillow can write and nothing else about it matters here; OpenCV reads half of it.
_PLAIN = ("AVIF", "BMP", "DDS", "DIB", "EPS", "ICNS", "ICO", "IM", "JPEG2000", "MPO", "PCX",
          "PPM", "QOI", "SGI", "TGA")  # fmt: skip
_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")  # of PNG


@functools.cache
def face(number: int, side: int = _SIDE) -> Image.Image:
    """A drawn face, grey."""
    drawn = draw_face(np.random.default_rng(number), CLASSES[number % len(CLASSES)])
    return Image.fromarray(drawn).resize((side, side))


@functools.cache
def images() -> Mapping[str, bytes]:
    """Image files of every kind, by a name that ends in their suffix."""
    grey, colour = face(0), Image.merge("RGB", [face(number) for number in (0, 1, 2)])
    exif = Image.Exif()
    exif[_ORIENTATION] = 6
    found = {f"plain.{kind.lower()}": _stored(colour, kind) for kind in _PLAIN}
    found |= {f"{mode.replace(';', '')}.png": _stored(_in_mode(mode), "PNG") for mode in _MODES}
    found |= {f"{name}.tif": _stored(colour, "TIFF", compression=name) for name in
              ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")}  # fmt: skip
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    floating = Image.fromarray(np.asarray(grey) / np.float32(255))
    several = {"save_all": True, "append_images": [face(1), face(2)]}
    return found | {
        "grey.jpg": _stored(grey, "JPEG"),
        "colour.jpg": _stored(colour, "JPEG", quality=60),
        "progressive.jpg": _stored(colour, "JPEG", progressive=True),
        "cmyk.jpg": _stored(colour.convert("CMYK"), "JPEG"),
        "turned.jpg": _stored(grey, "JPEG", exif=exif),
        "text.png": _stored(grey, "PNG", exif=exif),
        "moving.png": _stored(grey, "PNG", **several),
        "plain.gif": _stored(grey, "GIF"),
        "moving.gif": _stored(grey, "GIF", **several),
        "lossy.webp": _stored(colour, "WEBP"),
        "lossless.webp": _stored(colour.convert("RGBA"), "WEBP", lossless=True),
        "moving.webp": _stored(colour, "WEBP", **several),
        "wide.tif": _stored(wide, "TIFF"),
        "float.tif": _stored(floating, "TIFF"),
        "pages.tif": _stored(grey, "TIFF", **several),
        "photo.jpg": _stored(_photo(), "JPEG"),
    }


@functools.cache
def zips() -> Mapping[str, bytes]:
    """Sets of images in every kind of zip that is read, and FER2013's table in one."""
    splits = {
        f"Facial_emotion_images/{split}/{label}/{number}.jpg": _stored(face(number), "JPEG")
        for number, (split, label) in enumerate(
            itertools.product(("train", "validation", "test"), CLASSES)
        )
    }
    classes = {f"{name.split('/', 2)[2]}": content for name, content in splits.items()}
    found = {f"splits {method}.zip": packed(splits, method) for method in METHODS}
    rows = [("emotion", "pixels", "Usage")]
    for row, label in enumerate(CLASSES * 2):
        pixels = " ".join(map(str, np.asarray(face(row, 8)).ravel()))
        rows.append((f"{fer_csv.EMOTIONS.index(label)}", pixels, "Training"))
    table = "".join(f"{','.join(row)}\n" for row in rows).encode()
    return found | {
        "classes.zip": packed(classes, zipfile.ZIP_DEFLATED),
        "table.zip": packed({"fer2013.csv": table}, zipfile.ZIP_DEFLATED),
    }


@functools.cache
def requests() -> Mapping[str, bytes]:
    """Requests of HTTP/1.1, as bytes: every address of the server, and pictures of all kinds."""
    found = {f"{name}.http": posted(content) for name, content in images().items()}
    found |= {
        f"{number}.http": posted(images()["grey.jpg"], f"/api/predict?{options}")
        for number, options in enumerate(("heat=true", "crops=1", "heat=1&crops=true", "x=y"))
    }
    pages = (*addresses(), "/nothing", "/../etc/passwd")
    return found | {
        f"get {number}.http": f"GET {page} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        for number, page in enumerate(pages)
    }


@functools.cache
def addresses() -> tuple[str, ...]:
    """Every path of the server, as its app has them."""
    # JAX and the extra 'serve', which other files do without
    from faceemo.inference.predictor import Predictor
    from faceemo.inference.serve.app import make_app

    from .network import small_network

    return tuple(make_app(Predictor(small_network(draw=False))).paths)


def posted(
    content: bytes, address: str = "/api/predict", field: str = "file", length: int | None = None
) -> bytes:
    """A request that uploads a picture; it may lie about its length."""
    body = (
        (
            f'--edge\r\nContent-Disposition: form-data; name="{field}"; filename="a.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n"
        ).encode()
        + content
        + b"\r\n--edge--\r\n"
    )
    head = (
        f"POST {address} HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: multipart/form-data; boundary=edge\r\n"
        f"Content-Length: {len(body) if length is None else length}\r\n\r\n"
    )
    return head.encode(errors="replace") + body


def packed(files: Mapping[str, bytes], method: int) -> bytes:
    """A zip of files by name."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", method) as archive:
        # a zip ends names at a zero, so that two may become one: as good an input as others
        warnings.filterwarnings("ignore", "Duplicate name")
        for name, content in files.items():
            info = zipfile.ZipInfo(name)  # without a date, so that the same files are the same zip
            info.compress_type = method
            archive.writestr(info, content)
    return stream.getvalue()


def _in_mode(mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(face(0)).astype(np.uint16) * 257)
    return face(0).convert("RGB").convert(mode)


def _photo() -> Image.Image:
    """Two faces in a wide picture, which is searched at two sizes."""
    canvas = Image.new("RGB", (400, 240), (90, 120, 60))
    for number, place in enumerate(((30, 40), (220, 60))):
        canvas.paste(face(number + 3, 150), place)
    return canvas


def _stored(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.copy().save(stream, kind, **options)  # Pillow leaves settings of one kind for the next
    return stream.getvalue()
