"""Words for what differs between the recipes of two runs, without the digests in them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Recipe = dict[str, Any]
# Parts of a recipe that hold digests: their words, and the fields whose difference explains theirs.
_PARTS = {
    "weights": ("initial weights", {"arch", "weights"}),
    "teachers": ("teachers", {"teacher"}),
    "vote_shares": ("votes on the training images", {"votes", "targets"}),
}
_SHOWN = 4  # differences


def describe(
    own: Recipe, found: Recipe, flatten: Callable[[Recipe], Mapping[str, Any]]
) -> list[str]:
    """Describes what a run has in the place of what another one has.

    Args:
        own: Recipe of the run that is asked for, see `provenance.make_recipe`.
        found: Recipe of the run that is there.
        flatten: Returns the fields that matter of a recipe by dotted name: 'config.image_size'.

    Returns:
        Up to `_SHOWN` descriptions of the run that is there, and how many more there would be;
        none if nothing differs.
    """
    here, there = flatten(own), flatten(found)
    names = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
    parts = {name.partition(".")[0] for name in names}
    fields = {name.removeprefix("config.") for name in names if name.startswith("config.")}
    words = []
    if "classes" in parts:
        words.append(f"the classes {_classes(found)} (this run: {_classes(own)})")
    if "data" in parts and (places := (_place(found), _place(own)))[0] != places[1]:
        words.append(f"the images of {places[0]} (this run: {places[1]})")
    for name in names:
        part, field = name.partition(".")[0], name.removeprefix("config.")
        if part == "preprocessing" and fields & _PARTS["weights"][1]:
            continue  # it comes with the network and its weights
        if part not in ("data", *_PARTS) and field != "classes":
            words.append(f"{field}={there.get(name)!r} (this run: {here.get(name)!r})")
    for part, (name, reasons) in _PARTS.items():
        if part in parts and not fields & reasons:
            words.append(f"other {name}")
    if "data" in parts and not words:
        words.append(f"the images of {_place(found)} as they were before they changed")
    more = len(words) - _SHOWN
    return [*words[:_SHOWN], f"{more} more differences"] if more > 0 else words


def _classes(recipe: Recipe) -> str:
    return ", ".join(recipe["classes"])


def _place(recipe: Recipe) -> str:
    """Returns where a run's images come from: the source, or the folder of the dataset."""
    config = recipe.get("config", {})
    if config.get("dataset") == "sample":
        return "faceemo's sample"
    return str(Path(config.get("source") or config.get("data_dir") or "unknown"))
