"""Draws every augmentation on one prepared training image per emotion, as one PNG."""

import argparse
from pathlib import Path

from faceemo import data, errors, staging
from faceemo.analysis.dataset import augmentation_sheet
from faceemo.analysis.theme import style
from faceemo.config import classes_of, make_config, validate


def main() -> None:
    """Reads the arguments, draws the sheet and prints where it is."""
    defaults = make_config("vgg16")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_dir", default=defaults.data_dir, help="where prepared data is")
    parser.add_argument("--dataset", default=defaults.dataset, choices=("folder", "sample"))
    parser.add_argument("--out", type=Path, help="default: pictures/augmentations.png beside it")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="of images and draws")
    parser.add_argument("--native_size", type=int, default=defaults.native_size)
    parser.add_argument("--classes", default=defaults.classes, help="joined by '+'")
    arguments = parser.parse_args()
    with errors.reported():
        defaults.data_dir, defaults.dataset = arguments.data_dir, arguments.dataset
        defaults.classes = arguments.classes
        classes = classes_of(validate(defaults))
        root = data.root_of(defaults)
        images = augmentation_sheet.choose_images(
            root, arguments.seed, arguments.native_size, classes
        )
        subtitle = f"one training image per emotion from {root}"
        if arguments.dataset == "sample":
            subtitle = f"drawings, not photographs: {subtitle}"
        figure = augmentation_sheet.augmentation_sheet(
            images, arguments.seed, classes=classes, subtitle=subtitle
        )
        out = arguments.out or root / "pictures" / "augmentations.png"
        with staging.file(out) as partial:
            style.save(figure, partial)
    print(f"The augmentations are drawn in {out}")


if __name__ == "__main__":
    main()
