"""The warnings of a sweep's runs, each once, with the runs and epochs that it concerns."""

import dataclasses
import re
from collections.abc import Mapping, Sequence

_EPOCH = re.compile(r"epoch (\d+): ")
_OTHER_EPOCHS = re.compile(r" \(also in epochs? ([\d, ]+)\)$")
_NUMBER = re.compile(r"\d[\d.,]*")


@dataclasses.dataclass(frozen=True)
class Warned:
    """A warning and the runs that have it.

    Attributes:
        text: The warning. Its numbers are those of the first occurrence.
        runs: A description of each run, such as 'vgg16:7, seed 5 (epochs 1 and 3)', or of all of
            them in one.
        varies: Whether the numbers in the warning differ.
    """

    text: str
    runs: tuple[str, ...]
    varies: bool


def join(warnings: Mapping[str, str]) -> str:
    """Joins the warnings of a run as {'epoch 1' or 'origin': warning} into one text."""
    return "; ".join(f"{source}: {warning}" for source, warning in warnings.items())


def group(labels: Sequence[str], joined: Sequence[str]) -> list[Warned]:
    """Groups the warnings of several runs.

    Args:
        labels: Names of the runs for people.
        joined: The text from `join` of each run, '' for none.
    """
    texts: dict[str, str] = {}
    epochs: dict[str, dict[int, list[str]]] = {}
    varying = set()
    for run, text_of_run in enumerate(joined):
        for warning in _split(text_of_run):
            match = _EPOCH.match(warning)
            text = warning[match.end() :] if match else warning.removeprefix("origin: ")
            others = _OTHER_EPOCHS.search(text)
            text = _OTHER_EPOCHS.sub("", text)
            key = _NUMBER.sub("0", text)
            if texts.setdefault(key, text) != text:
                varying.add(key)
            found = epochs.setdefault(key, {}).setdefault(run, [])
            found += [match[1]] if match else []
            found += others[1].split(", ") if others else []
    return [
        Warned(text, _describe_runs(labels, epochs[key]), key in varying)
        for key, text in texts.items()
    ]


def _split(joined: str) -> list[str]:
    """Splits the text of `join`; a warning may contain semicolons."""
    return re.split(r"; (?=epoch \d+: |origin: )", joined) if joined else []


def _describe_runs(labels: Sequence[str], epochs: Mapping[int, Sequence[str]]) -> tuple[str, ...]:
    """Describes runs with their epochs, together if all runs of the sweep have the same."""
    if 1 < len(epochs) == len(labels) and len(set(map(tuple, epochs.values()))) == 1:
        return (f"all runs{_describe_epochs(epochs[0])}",)
    return tuple(labels[run] + _describe_epochs(numbers) for run, numbers in epochs.items())


def _describe_epochs(numbers: Sequence[str]) -> str:
    if len(numbers) < 2:
        return f" (epoch {numbers[0]})" if numbers else ""
    return f" (epochs {', '.join(numbers[:-1])} and {numbers[-1]})"
