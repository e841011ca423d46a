"""Several sources that are one: A+B."""

import collections
import hashlib
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from faceemo.data.source.image_table import ImageTable
from faceemo.data.source.layout import Layout, fit_name
from faceemo.data.source.readers.protocol import Source
from faceemo.errors import UserError

SEPARATOR = "+"
HUB = "hf:"  # before the name of a dataset of Hugging Face's hub


def divide(named: Path) -> list[Path]:
    """Divides the text of the field source into paths; one that exists is not divided.

    A path may contain '+', as that of CK+ does: of all ways to divide the text so that every part
    exists, the one with the fewest parts is taken.
    """
    text = str(named)
    words = text.split(SEPARATOR)
    if len(words) == 1 or named.exists():
        return [named]
    cuts = range(1, len(words))
    for number in range(1, len(words)):
        for chosen in itertools.combinations(cuts, number):
            ends = (0, *chosen, len(words))
            parts = [
                Path(SEPARATOR.join(words[start:end]).strip())
                for start, end in itertools.pairwise(ends)
            ]
            if all(map(may_exist, parts)):
                return parts
    return [Path(word.strip()) for word in words]


def may_exist(part: Path) -> bool:
    """Returns whether a path exists, or is a name on the hub, which is not asked."""
    return str(part).startswith(HUB) or part.exists()


class JoinedSource:
    """Several sources as one. Paths and names of images begin with the name of their source.

    Args:
        sources: Two sources or more.

    Attributes:
        path: Their paths, joined by '+'.
    """

    def __init__(self, sources: Sequence[Source]):
        self.path = Path(SEPARATOR.join(str(source.path) for source in sources))
        self._sources = dict(zip(_name_sources(sources), sources, strict=True))

    @property
    def problems(self) -> Mapping[str, str]:
        """Reasons why `read_files` has passed over images, by path."""
        return {
            f"{name}/{path}": problem
            for name, source in self._sources.items()
            for path, problem in source.problems.items()
        }

    def sha256(self, classes: Collection[str] = ()) -> str:
        """Computes one sha256 of the names and digests of the sources."""
        lines = (f"{source.sha256(classes)} {name}\n" for name, source in self._sources.items())
        return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()

    def layout(self, classes: Collection[str] = ()) -> Layout:
        """Joins the layouts of the sources."""
        found = {name: source.layout(classes) for name, source in self._sources.items()}
        notes = []
        for name, layout in found.items():
            counts = collections.Counter(image.split for image in layout.destinations.values())
            splits = ", ".join(f"{split} {count:,}" for split, count in counts.items())
            notes.append(f"{name} is {layout.form} ({splits})")
            notes += [f"{name}: {note}" for note in layout.notes]
        return Layout(
            f"{len(found)} sources",
            {
                f"{name}/{path}": image._replace(name=fit_name(f"{name}-{image.name}"))
                for name, layout in found.items()
                for path, image in layout.destinations.items()
            },
            tuple(notes),
            crops={
                f"{name}/{path}": crop._replace(file=f"{name}/{crop.file}")
                for name, layout in found.items()
                for path, crop in layout.crops.items()
            },
            left_out={
                f"{name}/{path}": image
                for name, layout in found.items()
                for path, image in layout.left_out.items()
            },
            groups={
                f"{name}/{path}": f"{name}/{group}"
                for name, layout in found.items()
                for path, group in layout.groups.items()
            },
        )

    def read_files(self, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yields path and content of each image, source by source."""
        for name, inner in self._divide_paths(paths).items():
            for path, content in self._sources[name].read_files(inner):
                yield f"{name}/{path}", content

    def total_bytes(self, paths: Collection[str]) -> int:
        """Returns an upper bound of the total size of some images, in bytes."""
        return sum(
            self._sources[name].total_bytes(inner)
            for name, inner in self._divide_paths(paths).items()
        )

    def table(self, classes: Collection[str] = ()) -> ImageTable | None:
        """Joins the tables of votes, by the paths of the images; None if there is none."""
        rows, votes = {}, {}
        for name, source in self._sources.items():
            if (table := source.table(classes)) is None or not table.votes:
                continue
            votes |= dict.fromkeys(table.votes)
            for path in source.layout(classes).destinations:
                if entry := table.find(path):
                    rows[f"{name}/{path}"] = entry
        return ImageTable(f"the tables of {self.path}", tuple(votes), False, rows) if rows else None

    def _divide_paths(self, paths: Collection[str]) -> dict[str, list[str]]:
        """Returns the paths in each source, by its name."""
        divided = collections.defaultdict(list)
        for path in paths:
            name, _, inner = path.partition("/")
            divided[name].append(inner)
        return {name: divided[name] for name in self._sources if name in divided}


def _name_sources(sources: Sequence[Source]) -> list[str]:
    """Returns a name for each source: that of its file or folder, numbered where two are equal.

    Raises:
        UserError: If a source is named twice.
    """
    places = [str(source.path.absolute().resolve()) for source in sources]
    if twice := [place for place, count in collections.Counter(places).items() if count > 1]:
        raise UserError(
            expected="different sources, joined by '+'",
            found=f"{twice[0]} twice",
            fix="name each source once",
        )
    names = [(source.path.name or source.path.resolve().name) for source in sources]
    names = [name.removesuffix(".zip") if len(name) > 4 else name for name in names]
    uses = collections.Counter(map(str.casefold, names))
    return [
        f"{name}-{number}" if uses[name.casefold()] > 1 else name
        for number, name in enumerate(names, 1)
    ]
