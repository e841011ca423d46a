"""Part of device.py: what well-known accelerators can do at most, and how large a batch suits."""

import re
from typing import NamedTuple


class Peak(NamedTuple):
    """Most operations a second, in 10**12, without structured sparsity.

    Attributes:
        float32: With float32 arrays at JAX's default precision, which rounds the factors of
            products to TF32 on GPUs that have it, and to bfloat16 on TPUs.
        bfloat16: With bfloat16 arrays.
    """

    float32: float
    bfloat16: float


# By the beginning of `device_kind`; the longest that fits counts. From NVIDIA's data sheets of each
# product (where they give a number with sparsity, half of it) and from Google Cloud's pages on each
# TPU version. A device of TPU v2 and v3 is a core, half a chip.
PEAKS = {
    "NVIDIA B200": Peak(1125, 2250),
    "NVIDIA H200": Peak(494.7, 989.4),
    "NVIDIA H200 NVL": Peak(417.5, 835.5),
    "NVIDIA H100 80GB HBM3": Peak(494.7, 989.4),
    "NVIDIA H100 NVL": Peak(417.5, 835.5),
    "NVIDIA H100 PCIe": Peak(378, 756),
    "NVIDIA A100": Peak(156, 312),
    "NVIDIA A10": Peak(62.5, 125),
    "NVIDIA L40S": Peak(183, 362),
    "NVIDIA L4": Peak(60, 121),
    "TPU v2": Peak(22.5, 22.5),
    "TPU v3": Peak(61.5, 61.5),
    "TPU v4": Peak(275, 275),
    "TPU v5 lite": Peak(197, 197),
    "TPU v5": Peak(459, 459),
    "TPU v5p": Peak(459, 459),
    "TPU v6 lite": Peak(918, 918),
}


def find_peak(kind: str) -> Peak | None:
    """Returns the peak of a `device_kind`; None if it is not in the table."""
    names = [name for name in PEAKS if re.match(rf"{re.escape(name)}(?![\w])", kind)]
    return PEAKS[max(names, key=len)] if names else None


def default_batch(on_cpu: bool, size: int) -> int:
    """Returns a batch size that fills a device: images of `size` pixels in 16 GB for all networks.

    The largest variants of the study have 128 images of 224 pixels on several devices.
    """
    if on_cpu:
        return 32 if size <= 128 else 8
    return 256 if size <= 128 else 64
