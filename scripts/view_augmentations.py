"""Draws every augmentation of one prepared training image per emotion, as one PNG."""

from pathlib import Path

from faceemo import data, errors, staging
from faceemo.analysis.dataset import augmentation_sheet
from faceemo.analysis.theme import style
from faceemo.commands.parser import Parser
from faceemo.config import classes_of, make_config, validate
from faceemo.config.image_format import CHANNELS
from faceemo.data import auto_format


def main() -> None:
    """Draws the figure and prints its path."""
    defaults = make_config("vgg16")
    parser = Parser(description=__doc__)
    parser.add_argument(
        "--data-dir",
        default=defaults.data_dir,
        help="folder of the prepared data (default: %(default)s)",
    )
    parser.add_argument(
        "--dataset",
        default=defaults.dataset,
        choices=("folder", "sample"),
        help="folder: the images in data_dir; sample: drawn faces (default: %(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, help="PNG to write (default: DATA_DIR/pictures/augmentations.png)"
    )
    parser.add_argument(
        "--seed", type=int, default=defaults.seed, help="seed of images and augmentation"
    )
    parser.add_argument(
        "--native-size",
        type=int,
        default=defaults.native_size,
        help="side of the images, pixels (0: their own; default: %(default)s)",
    )
    parser.add_argument(
        "--channels",
        default=defaults.channels,
        choices=CHANNELS,
        help="the images in grey or in colour ('auto': as most of them are; default: %(default)s)",
    )
    parser.add_argument(
        "--classes", default=defaults.classes, help="classes joined by '+' (default: %(default)s)"
    )
    arguments = parser.parse_args()
    with errors.reported():
        defaults.data_dir, defaults.dataset = arguments.data_dir, arguments.dataset
        defaults.classes = arguments.classes
        defaults.native_size, defaults.channels = arguments.native_size, arguments.channels
        classes = classes_of(validate(defaults))
        root = data.dataset_root(defaults)
        form = auto_format.find(defaults, root)[0]
        images = augmentation_sheet.choose_images(root, arguments.seed, form, classes)
        subtitle = f"one training image per emotion from {root}"
        if arguments.dataset == "sample":
            subtitle = f"drawings, not photographs: {subtitle}"
        figure = augmentation_sheet.draw_augmentation_sheet(
            images, arguments.seed, classes=classes, subtitle=subtitle
        )
        out = arguments.out or root / "pictures" / "augmentations.png"
        with staging.file(out) as partial:
            style.save(figure, partial)
    print(f"picture {out}")


if __name__ == "__main__":
    main()
