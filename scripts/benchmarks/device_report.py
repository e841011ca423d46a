"""Part of device.py: progress lines, and the table in Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any

from . import device_facts, timing

_DTYPES = ("float32", "bfloat16")
_MODES = ("eager", "compile")  # of PyTorch
_UNKNOWN = "–"


def complete(cell: dict[str, Any], result: dict[str, Any], content: dict[str, Any]) -> Any:
    """Adds to a result what follows from it: images a second, and the share of the peak."""
    if "seconds" not in result:
        return result
    middle, *_ = timing.median_and_range(result["seconds"])
    more = {"images_per_second": result["images"] / middle}
    if "operations" in result:
        peak = find_peak(content, cell["dtype"])
        more["share_of_peak"] = result["operations"] / middle / peak if peak else None
    return result | more


def find_peak(content: dict[str, Any], dtype: str) -> float | None:
    """Returns the most operations a second of all devices together; None if it is unknown."""
    device, tera = content["device"], content["options"]["peak_tflops"]
    if not tera:
        known = device_facts.find_peak(device["kind"])
        tera = known and known._asdict()[dtype]
    return 1e12 * tera * device["count"] if tera else None


def format_progress(cell: dict[str, Any], result: dict[str, Any]) -> str:
    """Formats one line about a measurement."""
    names = [str(value) for name, value in cell.items() if name != "batch"]
    took = f"({result['took']:.1f} s)" if "took" in result else ""
    if "failed" in result:
        return f"  {' '.join(names)}: failed, {result['failed']} {took}"
    if "passed" in result:
        found = ", ".join(
            f"{name} {_format_difference(result[name])}" for name in ("logits", "gradients", "adam")
        )
        return f"  {' '.join(names)}: {_verdict(result)}, {found} {took}"
    return f"  {' '.join(names)}: {result['images_per_second']:,.1f} images/s {took}"


def format_markdown(content: dict[str, Any]) -> str:
    """Formats everything that was measured so far."""
    return "\n".join(
        [
            *_format_head(content),
            *_format_correctness(_select(content, "correctness")),
            *_format_speed(content),
            *_format_augmentation(_select(content, "augmentation")),
            *_format_missing(content),
        ]
    )


def _select(content: dict[str, Any], part: str) -> list[dict[str, Any]]:
    return [row for row in content["results"] if row["part"] == part]


def _format_head(content: dict[str, Any]) -> list[str]:
    device = content["device"]
    what = "no device yet"
    if device:
        what = f"{device['count']} x {device['kind']} ({device['platform']}), JAX {device['jax']}"
    return [
        "# faceemo on a device",
        "",
        f"{what}. Host: {content['machine']}. Started {content['started']}, "
        f"{content['elapsed_seconds']:.0f} s.",
        "",
    ]


def _format_correctness(rows: Sequence[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    table = [
        [
            row["arch"],
            row["precision"],
            _format_difference(row["logits"]),
            f"{_format_difference(row['gradients'])}, {row['gradients']['layer']}",
            _format_difference(row["adam"]),
            _verdict(row),
        ]
        for row in rows
    ]
    return [
        "## Beside the CPU",
        "",
        f"Relative differences to the CPU's float32 at {rows[0]['size']} pixels, with their "
        "tolerances: norm of the difference over norm of the values. Logits are of inference, "
        "gradients of training. Of gradients and of Adam's moves, the layer stands here that comes "
        "closest to its tolerance. In TF32 and bfloat16 that of gradients depends on the CPU's own "
        "difference in bfloat16.",
        "",
        *_format_table(
            ["network", "precision", "logits", "gradients, layer", "Adam", "verdict"], table
        ),
    ]


def _format_speed(content: dict[str, Any]) -> list[str]:
    rows = _select(content, "speed")
    if not rows:
        return []
    peers = {
        (_key(row), row["mode"]): row
        for row in _select(content, "torch")
        if (row["device"] == "cpu") == (content["device"]["platform"] == "cpu")
    }
    table = []
    for row in sorted(rows, key=lambda row: (row["arch"], row["size"], row["task"], row["dtype"])):
        milliseconds = [1000 * seconds for seconds in row["seconds"]]
        middle, low, high = timing.median_and_range(milliseconds)
        table.append(
            [
                row["arch"],
                str(row["size"]),
                str(row["images"]),
                row["task"],
                row["dtype"],
                f"{middle:,.2f} ({low:,.2f} to {high:,.2f})",
                f"{row['images_per_second']:,.0f}",
                f"{row['operations'] / 1e9:,.1f}",
                _format_optional(row["compiled_operations"], 1e-9, ",.1f"),
                _format_optional(row["share_of_peak"], 1, ".1%"),
                f"{row['trace_seconds']:.1f} + {row['compile_seconds']:.1f}",
                _format_optional(row["program_mib"], 1, ",.0f"),
                f"{row['peak_mib']:,.0f}",
                *(_format_peer(peers.get((_key(row), mode)), row, content) for mode in _MODES),
            ]
        )
    return [
        "## Speed",
        "",
        *_explain_speed(content),
        "",
        *_format_table(
            [
                *("network", "px", "images", "task", "dtype", "ms a step", "images/s"),
                *("GFLOP a step", "counted by XLA", "share of peak", "trace + compile, s"),
                *("program, MiB", "peak so far, MiB", "PyTorch", "torch.compile"),
            ],
            table,
        ),
    ]


def _explain_speed(content: dict[str, Any]) -> list[str]:
    device, options = content["device"], content["options"]
    sentences = [
        f"Median of {options['rounds']} turns, with the fastest and the slowest. float32 is at "
        "JAX's default precision, which is TF32 on GPUs that have it.",
        "GFLOP follow from the shapes of the layers, and so does the share of the peak; XLA counts "
        "neither libraries such as cuDNN nor repetitions of loops.",
        "Memory is that of the program on one device, and the peak of "
        f"{device['peak_mib_is_of']} so far.",
    ]
    peaks = {dtype: find_peak(content, dtype) for dtype in _DTYPES}
    found = [f"{value / 1e12:,.1f} in {dtype}" for dtype, value in peaks.items() if value]
    if found:
        sentences.append(f"The peak in TFLOP/s is {', '.join(found)}.")
    else:
        sentences.append(
            f"There is no share, because the peak of '{device['kind']}' is unknown; --peak-tflops "
            "gives it."
        )
    if not content["torch_installed"]:
        sentences.append("PyTorch is not installed.")
    elif any(row["device"] == "cpu" for row in _select(content, "torch")):
        sentences.append("PyTorch ran on the CPU.")
    return sentences


def _format_augmentation(rows: Sequence[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    table = []
    for row in rows:
        speeds = [row["images"] / seconds for seconds in row["seconds"]]
        middle, low, high = timing.median_and_range(speeds)
        table.append(
            [
                row["level"],
                str(row["size"]),
                str(row["images"]),
                f"{middle:,.0f} ({low:,.0f} to {high:,.0f})",
            ]
        )
    return [
        "## Augmentation",
        "",
        "Enlargement from 48 pixels and augmentation on the first device.",
        "",
        *_format_table(["level", "px", "images", "images/s"], table),
    ]


def _format_missing(content: dict[str, Any]) -> list[str]:
    if not content["missing"]:
        return []
    table = []
    for cell in content["missing"]:
        names = [str(value) for name, value in cell.items() if name not in ("batch", "reason")]
        table.append([" ".join(names), cell["reason"].replace("|", "\\|")])
    return ["## Missing", "", *_format_table(["measurement", "reason"], table)]


def _format_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [*(f"| {' | '.join(cells)} |" for cells in lines), ""]


def _format_difference(found: dict[str, Any]) -> str:
    value = "not finite" if found["difference"] is None else f"{found['difference']:.1e}"
    return f"{value} (at most {found['tolerance']:.1e})"


def _format_optional(value: float | None, unit: float, form: str) -> str:
    return _UNKNOWN if value is None else format(unit * value, form)


def _format_peer(peer: dict[str, Any] | None, row: dict[str, Any], content: dict[str, Any]) -> str:
    """Formats PyTorch's images a second, and faceemo's over them, both on one device."""
    if peer is None:
        return _UNKNOWN if content["torch_installed"] else "not installed"
    ours = row["images_per_second"] / content["device"]["count"]
    return f"{peer['images_per_second']:,.0f} (faceemo {ours / peer['images_per_second']:.2f}x)"


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    """Returns what faceemo's and PyTorch's rows of one measurement have in common."""
    return tuple(str(row[name]) for name in ("arch", "size", "task", "dtype"))


def _verdict(row: dict[str, Any]) -> str:
    return "passes" if row["passed"] else "FAILS"
