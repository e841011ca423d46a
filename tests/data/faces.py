"""Drawn faces as arrays and as files, for the tests of what is measured in images."""

import io

import numpy as np
from PIL import Image

from faceemo.classes import CLASSES
from faceemo.data import drawing


def face(seed, side=48):
    drawn = drawing.draw_face(np.random.default_rng(seed), CLASSES[seed % 4])
    return np.asarray(Image.fromarray(drawn).resize((side, side), Image.Resampling.BICUBIC))


def jpeg(pixels, mode="L", **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def png(image, **options):
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    return stream.getvalue()
