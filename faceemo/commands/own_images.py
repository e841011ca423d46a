"""Choices for images of one's own: classes, recipe, sizes, splits and folders, with reasons."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from faceemo.assets import builtin
from faceemo.commands import class_counts
from faceemo.commands.choices import FIELDS_LEFT, Choice, Chosen, Reason
from faceemo.config import class_map_of, classes_of, make_config, validate
from faceemo.config.classes import normalize_name
from faceemo.config.field_words import spell
from faceemo.config.image_format import AUTOMATIC
from faceemo.data.source import sources, zips
from faceemo.data.source.class_selection import select_classes
from faceemo.data.source.layout import Layout, format_examples
from faceemo.data.source.readers import joined_source
from faceemo.data.source.sampled_images import sample_images
from faceemo.data.source.sources import FolderSource, Source
from faceemo.errors import UserError

ARCH = "mobilenet"
ANY_VARIANT = 0
# Up to so many training images the head alone trains.
FEW_IMAGES = 2000
_BATCH_SIZE, _STEPS = 16, 400  # of a head
_EPOCHS_OF_ALL = 10  # of all blocks
# 15 epochs of 13,438 images took 64 minutes on two cores.
_IMAGES_PER_SECOND = 52
# Sizes at which the network that comes with faceemo was trained, pixels.
IMAGE_SIZE, NATIVE_SIZE = builtin.IMAGE_SIZES[builtin.NAME], 48


def choose(path: Path, given: Mapping[str, Any]) -> Chosen:
    """Makes a configuration for the images at a path.

    Args:
        path: A folder, zip or csv of images; its layout is detected (`faceemo.data.source.layout`).
        given: Fields that the user set, which replace choices.

    Raises:
        UserError: If there are no images there, the layout is unknown, there are fewer than two
            classes, or a class has too few images.
    """
    images = _Images.find(path, given)
    variant, recipe = _choose_recipe(_estimate_training_images(images.counts, given))
    return images.configure(variant, recipe, given)


def choose_for_sweep(path: Path, given: Mapping[str, Any]) -> Chosen:
    """Makes the choices of `choose` that depend on the images alone, not on the network.

    Runs with these fields score the same validation images as a run with all choices.

    Args:
        path: As for `choose`.
        given: As for `choose`; fields that have nothing to do with images are passed over.

    Raises:
        UserError: As `choose` does.
    """
    images = _Images.find(path, given)
    names = {*images.classes.fields, *images.sizes.fields, *images.data.fields}
    names |= {"class_map", *AUTOMATIC}
    about_images = {name: value for name, value in given.items() if name in names}
    return images.configure(ANY_VARIANT, (), about_images)


@dataclasses.dataclass(frozen=True)
class _Images:
    """The images at a path, and the choices that follow from them alone."""

    path: Path
    name: str
    layout: Layout
    counts: dict[str, dict[str, int]]  # images by split and class
    classes: Choice
    sizes: Choice
    data: Choice

    @classmethod
    def find(cls, path: Path, given: Mapping[str, Any]) -> "_Images":
        """Looks at the images; see `choose`."""
        if path.is_file() and path.suffix.casefold() not in sources.FORMATS:
            raise UserError(
                expected="a folder, zip or csv of images, or a configuration",
                found=f"the file {path}",
                fix="name a folder that holds a folder of images for each class, or a file ending "
                f"in {' or '.join(sources.FORMATS)}",
            )
        if "source" in given:
            raise UserError(
                expected="the images named once",
                found=f"{path} and {spell('source', given['source'])}",
                fix="leave one of them out",
            )
        name = _make_name(path)
        data_dir = given.get("data_dir", f"data/prepared/{name}")
        source = sources.find(Path(data_dir), path, from_within=False)
        layout = source.layout(class_counts.find_known_names(given))
        counts = class_counts.count(layout, given)
        class_counts.refuse_too_few(path, counts, layout)
        classes = "+".join(counts["train"])
        return cls(
            path=path,
            name=name,
            layout=layout,
            counts=counts,
            classes=Choice("classes", {"classes": classes}, _explain_classes(source, counts)),
            sizes=_choose_sizes(source, layout, _estimate_training_images(counts, given)),
            data=_choose_data(path, data_dir, counts),
        )

    def configure(
        self, variant: int | str, recipe: Sequence[Choice], given: Mapping[str, Any]
    ) -> Chosen:
        """Makes the configuration of a variant with these choices and those of a recipe."""
        choices = (self.classes, self.sizes, *recipe, self.data)
        config = make_config(ARCH, str(variant))
        for choice in choices:
            config.update(choice.fields)
        config.update(given)
        validate(config)
        select_classes(str(self.path), self.layout, classes_of(config), class_map_of(config))
        return Chosen(config, self.name, choices, given)


def _make_name(path: Path) -> str:
    """Returns a name for a path's folders that other paths do not share: 'photos-my_faces'."""
    if len(parts := joined_source.divide(path)) > 1:
        return "-and-".join(map(_make_name, parts))
    if str(path).startswith(joined_source.HUB):
        return "-".join(path.parts).replace(":", "-").replace(",", "_")
    resolved, here = path.resolve(), Path.cwd()
    inside = resolved.is_relative_to(here) and resolved != here
    parts = resolved.relative_to(here).parts if inside else resolved.parts[1:]
    return "-".join(parts).replace(",", "_")


def _explain_classes(source: Source, counts: Mapping[str, Mapping[str, int]]) -> tuple[Reason, ...]:
    total = sum(sum(split.values()) for split in counts.values())
    listed = ", ".join(f"{label} {count:,}" for label, count in counts["train"].items())
    whose = "for training" if "validation" in counts else "for training and validation"
    empty = _find_empty(source, counts["train"])
    reasons = (
        Reason(f"the names in {source.path}", ("classes",)),
        Reason(f"{total:,} images, {whose} {listed}"),
    )
    if empty:
        reasons += (Reason(f"{format_examples(empty)} without an image is left out"),)
    return reasons


def _find_empty(source: Source, classes: Collection[str]) -> list[str]:
    """Returns the names of folders beside those of the classes that hold no file."""
    if not isinstance(source, FolderSource):
        return []
    siblings = {path.parent.parent for path in source.files.values()}
    return sorted(
        folder.name
        for parent in siblings
        for folder in parent.iterdir()
        if folder.is_dir()
        and not zips.is_litter(folder.name)
        and normalize_name(folder.name) not in classes
        and not any(path.is_file() for path in folder.rglob("*"))
    )


def _choose_sizes(source: Source, layout: Layout, images: int) -> Choice:
    """Chooses the sizes for a number of training images, and whether colour is kept.

    Features of frozen blocks are those of images like the ones that faceemo's network learned,
    which are grey and have 48 pixels. Blocks that train can learn of colour and detail.
    """
    sample = sample_images(source, sorted(layout.destinations))
    fields: dict[str, Any] = {"image_size": IMAGE_SIZE, "native_size": NATIVE_SIZE}
    reasons = [Reason(f"{FIELDS_LEFT} as in faceemo's network", ("image_size", "native_size"))]
    if images > FEW_IMAGES:
        fields |= AUTOMATIC
        reasons = [
            Reason(f"{FIELDS_LEFT} as in faceemo's network", ("image_size",)),
            Reason(
                f"{FIELDS_LEFT} from the images (at most image_size), because all blocks train",
                tuple(AUTOMATIC),
            ),
        ]
    reasons += [
        Reason(f"the median shorter side of the images is {sample.side:,} pixels"),
        Reason("each image is used whole, so it should show little besides the face"),
    ]
    return Choice("sizes", fields, tuple(reasons))


def _estimate_training_images(
    counts: Mapping[str, Mapping[str, int]], given: Mapping[str, Any]
) -> int:
    """Estimates how many images train once splits are made; some may still be left out."""
    shares = {"validation": _validation_share(counts), "test": 0.0}
    made = sum(
        given.get(f"{split}_share", share) for split, share in shares.items() if split not in counts
    )
    return max(1, round(sum(counts["train"].values()) * (1 - made)))


def _choose_recipe(images: int) -> tuple[str, tuple[Choice, Choice]]:
    """Chooses the variant, and what it is changed by.

    Settings were compared on validation, with 60 training images of each class. On three classes
    of FER2013 that the network had not learned (450 validation images) frozen features at 128
    pixels scored 0.562 to 0.586 in four draws of the images, on all seven classes (700 images)
    0.523 to 0.553. In the first two draws `faceres` instead of `builtin-four` scored 0.553 twice,
    and 0.407 and 0.412. One trained block, with the augmentation 'low', changed that by -0.5 to 1.3
    points in three draws. Two gained 1.6 and 4.3 points on the three classes and 0.8 on the seven,
    but need more than a minute for 240 images. An extra dense layer changed accuracy by -0.6 to 1.4
    points and raised the loss by half; 96 pixels lost 1.7 to 5.1 points. Each value is the best
    epoch's. The number of images from which on all blocks should train was not measured.
    """
    weights = {"weights": builtin.NAME}
    if images > FEW_IMAGES:
        minutes = images * _EPOCHS_OF_ALL / _IMAGES_PER_SECOND / 60
        return "best", (
            Choice(
                "network",
                weights | {"unfreeze": "all"},
                (
                    Reason("the network that comes with faceemo knows emotions", ("weights",)),
                    Reason(f"with more than {FEW_IMAGES:,} images all blocks train", ("unfreeze",)),
                ),
            ),
            Choice(
                "training",
                {"augmentation": "mid", "epochs": _EPOCHS_OF_ALL},
                (
                    Reason("the recipe 'best'", ("augmentation",)),
                    Reason(f"about {images:,} training images"),
                    Reason(f"takes about {minutes:,.0f} minutes on two CPU cores", ("epochs",)),
                ),
            ),
        )
    steps = -(-images // _BATCH_SIZE)
    epochs = min(max(-(-_STEPS // steps), 20), 100)
    return "0", (
        Choice(
            "network",
            weights | {"unfreeze": "0", "augmentation": "none"},
            (
                Reason("the network that comes with faceemo knows emotions", ("weights",)),
                Reason("with few images the head alone trains", ("unfreeze",)),
                Reason("without augmentation features are computed once", ("augmentation",)),
            ),
        ),
        Choice(
            "training",
            {"epochs": epochs, "patience": 10, "batch_size": _BATCH_SIZE, "learning_rate": 1e-3},
            (
                Reason(f"about {steps} steps an epoch", ("batch_size",)),
                Reason(
                    f"about {images:,} training images, before near copies and others are left out"
                ),
            ),
        ),
    )


def _choose_data(path: Path, data_dir: str, counts: Mapping[str, Mapping[str, int]]) -> Choice:
    fields: dict[str, Any] = {"policy": "strict"}
    reasons = [Reason("no near copy of a validation image is in train", ("policy",))]
    if "validation" not in counts:
        fields["validation_share"] = _validation_share(counts)
        made = f"{path} has no validation split, so a share of each class is set aside"
        reasons.insert(0, Reason(made))
    reasons.append(Reason(f"{path} is only read"))
    fields |= {"source": str(path), "data_dir": data_dir}
    return Choice("data", fields, tuple(reasons))


def _validation_share(counts: Mapping[str, Mapping[str, int]]) -> float:
    """Returns the share of train that becomes validation: more of few images, whose scores vary."""
    return 0.2 if sum(counts["train"].values()) < 1000 else 0.1
