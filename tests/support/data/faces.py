"""Drawn faces as arrays and as image files."""

import io

import numpy as np
from PIL import Image

from faceemo.config import CLASSES
from faceemo.data.sample import draw_face


def face(seed, side=48):
    drawn = draw_face.draw_face(np.random.default_rng(seed), CLASSES[seed % 4])
    return np.asarray(Image.fromarray(drawn).resize((side, side), Image.Resampling.BICUBIC))


def jpeg(pixels, mode="L", **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def png(image, **options):
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    return stream.getvalue()


def odd_files():
    """Makes valid image files of unusual sizes, modes and formats: {name: content}."""
    colour = Image.fromarray(np.stack([face(3, 120), face(3, 120) // 2, face(3, 120)], -1))
    exif = Image.Exif()
    exif[0x0112] = 6  # viewers rotate it by 90 degrees
    return {
        "black.jpg": jpeg(np.zeros((48, 48), np.uint8)),
        "one.png": png(Image.new("L", (1, 1), 9)),
        "colour.jpg": jpeg(np.asarray(colour), "RGB"),
        "cmyk.jpg": jpeg(np.asarray(colour), "CMYK"),
        "alpha.png": png(colour.convert("RGBA")),
        "palette.png": png(colour.convert("P")),
        "deep.png": png(Image.fromarray(face(7, 60).astype(np.uint16) * 257)),
        "wide.jpg": jpeg(face(8, 150)[20:110]),
        "turned.jpg": jpeg(np.rot90(face(5, 96)[:, 8:88]), exif=exif),
    }
