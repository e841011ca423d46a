"""The licences of everything that a page consists of, written beside it."""

from importlib import resources
from pathlib import Path

from faceemo.assets import catalogue
from faceemo.train.checkpoint import image_terms
from faceemo.train.checkpoint.provenance import find_ancestors, find_other_images
from faceemo.train.checkpoint.trained_model import TrainedModel

NAME = "LICENSES.txt"
_MIT = """\
Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""
_TEXT = """\
What this page consists of, and under which terms
=================================================

index.html, style.css, model.json and the scripts beside them
    faceemo, MIT License. Copyright (c) 2026 The faceemo authors.

network.bin
    A network trained by faceemo or its user. Its training images: {images}.
    Its initial weights: {weights}.

detector.bin
    The face detector res10_300x300_ssd of the OpenCV project, converted by faceemo to ONNX, its
    weights rounded. Licence: {detector}.

runtime/
    onnxruntime-web 1.19.2, MIT License. Copyright (c) Microsoft Corporation. Lines that name maps
    of its sources were left out. It contains parts of other projects, whose notices are in
    ThirdPartyNotices.txt of its repository, https://github.com/microsoft/onnxruntime.


MIT License
===========

{mit}

Apache License
==============

{apache}"""


def describe(trained: TrainedModel, card: Path) -> str:
    """Returns the text for a page with a network.

    Args:
        trained: The network.
        card: The network's card, which need not exist.
    """
    apache = resources.files("faceemo.inference.export.web") / "licences" / "Apache-2.0.txt"
    return _TEXT.format(
        images="; ".join(_list_images(trained, card)),
        weights=_describe_weights(trained),
        detector=catalogue.ASSETS["res10.caffemodel"].licence,
        mit=_MIT,
        apache=apache.read_text(encoding="utf-8"),
    )


def _list_images(trained: TrainedModel, card: Path) -> list[str]:
    """Lists the terms of all images that the network learned from, its own first."""
    config = trained.config
    own = image_terms.DRAWN if config.dataset == "sample" else image_terms.read_card(card)
    terms = [own, *find_other_images(trained.recipe).values()]
    return list(dict.fromkeys(one or "not recorded" for one in terms))


def _describe_weights(trained: TrainedModel) -> str:
    """Returns the licences of the published weights with which the network or a parent began."""
    recipes = [trained.recipe, *find_ancestors(trained.recipe)]
    names = [f"{one['config']['arch']}.{one['config']['weights']}" for one in recipes]
    found = [catalogue.ASSETS[name].licence for name in names if name in catalogue.ASSETS]
    return "; ".join(dict.fromkeys(found)) or "none that were published"
