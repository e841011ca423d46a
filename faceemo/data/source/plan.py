"""The plan by which the images of a source become originals: class, split and name of each."""

import collections
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from faceemo.config import SPLITS
from faceemo.config.classes import name_key
from faceemo.config.field_words import spell
from faceemo.data.source import class_selection, group_splits, image_table, splits
from faceemo.data.source.image_table import NO_LABEL, ImageTable
from faceemo.data.source.layout import Destination, LeftOut, fit_name
from faceemo.data.source.readers.protocol import Source
from faceemo.data.source.selection import DRAWN, Selection
from faceemo.data.source.sets.tree import count_reasons
from faceemo.data.source.votes_by_path import VotesByPath
from faceemo.data.votes import counting
from faceemo.errors import UserError, escape_name

_Destinations = dict[str, Destination]  # by path in the source
_NO_LABEL, _NO_CLASS = "no label in the source", "its label is no class of the run"


class Plan:
    """The target of each image of a source, and notes on how it was chosen.

    Args:
        source: The source.
        selection: The classes, the table of votes, and the splits to make.
        root: The dataset's folder, in which measurements are kept if splits are to be made.

    Attributes:
        targets: Path below the originals' folder, by path in the source.
        missing_splits: Splits that the source does not have, or that are drawn anew.

    Raises:
        UserError: If the source's layout is unknown, or it lacks a class or votes.
    """

    def __init__(self, source: Source, selection: Selection, root: Path | None = None):
        self.source, self._selection = source, selection
        found = source.layout(selection.known_names)
        votes, voting = _read_votes(source, selection, found.destinations)
        destinations = found.destinations
        if selection.splits == DRAWN:
            destinations = _join_splits(destinations)
        labelled = _apply_votes(destinations, votes, selection)
        chosen = class_selection.select_classes(
            str(source.path),
            found.with_destinations(labelled),
            selection.classes,
            selection.class_map,
        )
        present = {destination.split for destination in chosen.destinations.values()}
        self.missing_splits = tuple(split for split in SPLITS if split not in present)
        moved = _make_splits(
            source, chosen.destinations, found.groups, selection, self.missing_splits, root
        )
        self.targets = {
            path: destination._replace(split=moved.get(path, destination.split)).path
            for path, destination in chosen.destinations.items()
        }
        self._cut_out = frozenset(
            target for path, target in self.targets.items() if path in found.crops
        )
        self._left_out = chosen.left_out
        self._not_used = dict(found.left_out) | {
            path: LeftOut(image.label, _NO_LABEL if image.label == NO_LABEL else _NO_CLASS)
            for path, image in labelled.items()
            if path not in chosen.destinations
        }
        self._votes = votes and VotesByPath(
            {self.targets[path]: counts for path, counts in votes.items() if path in self.targets},
            {target: found.destinations[path].label for path, target in self.targets.items()},
        )
        shown = source.path.name if source.path.exists() else source.path
        notes = [f"{found.form} in {shown}", *found.notes]
        if found.left_out:
            notes.append(f"left out: {count_reasons(found.left_out)}")
        notes += [f"'{escape_name(name)}' is {label}" for name, label in chosen.renamed.items()]
        if chosen.left_out:
            counts = (f"{escape_name(name)} {count:,}" for name, count in chosen.left_out.items())
            notes.append(f"left out: {', '.join(counts)}")
        self._notes = ("; ".join(notes), *voting)
        self._notes += tuple(
            _notes_on_splits(self.missing_splits, moved, bool(found.groups), selection)
        )
        self._notes += _notes_on_groups(found.groups, self.targets)

    def facts(self) -> dict[str, Any]:
        """Returns what `archive.Originals` tells about the plan, by the names of its fields."""
        return {
            "notes": self._notes,
            "left_out": self._left_out,
            "source": self.source.path,
            "paths_in_source": {target: path for path, target in self.targets.items()},
            "not_used": self._not_used | self._find_problems(),
            "votes": self._votes or VotesByPath(),
            "cut_out": self._cut_out,
        }

    def _find_problems(self) -> dict[str, LeftOut]:
        """Returns the images that turned out to have a problem when they were read."""
        return {
            path: LeftOut(self.targets[path].split("/")[1], problem)
            for path, problem in self.source.problems.items()
            if path in self.targets
        }


def _read_votes(
    source: Source, selection: Selection, destinations: _Destinations
) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Reads the votes on each image, by its path in the source, and returns notes about them."""
    names = selection.known_names
    table = (
        image_table.read_file(selection.votes, names) if selection.votes else source.table(names)
    )
    if table is None or not table.votes:
        if selection.targets != counting.LABEL:
            raise UserError(
                expected=f"votes for {spell('targets', selection.targets)}",
                found=f"none in {source.path}",
                fix=f"name a table of them, such as {spell('votes', 'fer2013new.csv')}",
            )
        return {}, []
    rename = _make_renaming(table, selection)
    votes = {}
    for path in destinations:
        if (entry := table.find(path)) and entry.votes:
            counts: dict[str, int] = collections.Counter()
            for name, count in entry.votes.items():
                if count:
                    counts[rename[name]] += count
            votes[path] = dict(counts)
    if not votes:
        raise UserError(
            expected=f"votes in {table.name} on images of {source.path}",
            found=f"none: its first row is about {next(iter(table.rows), 'nothing')}, the source's "
            f"first image is {escape_name(next(iter(destinations)))}",
            fix=f"name the table that belongs to the images with {spell('votes')}",
        )
    return votes, [f"votes: {table.name}, on {len(votes):,} of {len(destinations):,} images"]


def _make_renaming(table: ImageTable, selection: Selection) -> dict[str, str]:
    """Returns the name of a class of the run for each column that means one, else the column's."""
    class_of = {name_key(label): label for label in selection.classes}
    class_of |= {name_key(name): label for name, label in selection.class_map.items()}
    return {name: class_of.get(name_key(name), name) for name in table.votes}


def _apply_votes(
    destinations: _Destinations, votes: Mapping[str, Mapping[str, int]], selection: Selection
) -> _Destinations:
    """Gives each image the label that the votes say, if the targets are not the labels."""
    if selection.targets == counting.LABEL:
        return destinations
    return {
        path: image._replace(label=counting.choose_label(votes.get(path), image.label))
        for path, image in destinations.items()
    }


def _join_splits(destinations: _Destinations) -> _Destinations:
    """Puts all images into train; the split goes before names that would meet."""
    uses = collections.Counter(
        (image.label, image.name.casefold()) for image in destinations.values()
    )
    return {
        path: Destination(
            "train",
            image.label,
            fit_name(f"{image.split}-{image.name}")
            if uses[image.label, image.name.casefold()] > 1
            else image.name,
        )
        for path, image in destinations.items()
    }


def _make_splits(
    source: Source,
    destinations: _Destinations,
    groups: Mapping[str, str],
    selection: Selection,
    missing_splits: Sequence[str],
    root: Path | None,
) -> dict[str, str]:
    """Chooses train images for the splits that the source lacks: {path in the source: split}.

    Look-alikes stay together, and so do the images of a person or photograph (`groups`).
    """
    shares = selection.shares(missing_splits)
    if not shares:
        return {}
    train = {path: target for path, target in destinations.items() if target.split == "train"}
    files = source.read_files(train)
    progress = tqdm(files, "look for groups", len(train), disable=None, unit="file")
    look_alikes = splits.group_look_alikes(progress, root)
    known = {path: group for path, group in groups.items() if path in look_alikes}
    joined = group_splits.join_groups(look_alikes, known)
    members = [splits.Member(path, train[path].label, group) for path, group in joined.items()]
    assign = group_splits.assign_splits if known else splits.assign_splits
    return assign(members, shares, selection.split_seed)


def _notes_on_groups(groups: Mapping[str, str], targets: Mapping[str, str]) -> tuple[str, ...]:
    """Returns a line on persons whose images the source's own splits divide."""
    splits_of = collections.defaultdict(set)
    for path, group in groups.items():
        if path in targets:
            splits_of[group].add(targets[path].partition("/")[0])
    divided = sum(len(found) > 1 for found in splits_of.values())
    if not divided:
        return ()
    return (
        f"the images of {divided:,} of {len(splits_of):,} persons are in more than one split of "
        f"the source ({spell('splits', DRAWN)} keeps each person in one)",
    )


def _notes_on_splits(
    missing_splits: Sequence[str], moved: dict[str, str], groups: bool, selection: Selection
) -> list[str]:
    """Returns lines on the splits that were made, and on a test split that is missing."""
    lines = []
    made = list(moved.values())
    for split in selection.shares(missing_splits):
        lines.append(
            f"{split} is split off from train: {made.count(split):,} images "
            f"({split}_share={getattr(selection, f'{split}_share'):g}, "
            f"split_seed={selection.split_seed}), stratified by class; duplicates stay together"
            + (", and so do the images of a person or photograph" if groups else "")
        )
    if "test" in missing_splits and "test" not in made:
        lines.append(
            "there is no test split: --split=test and the leaks of test are unavailable "
            f"({spell('test_share', 0.1)} makes one from train)"
        )
    return lines
