"""Unpacks the images, counts them and draws random ones of every class and split.

    python scripts/explore_data.py --data_dir data

Fills data/Facial_emotion_images, draws data/pictures/samples.png.
"""

import argparse

from faceemo import errors
from faceemo.data import archive, pictures, prepare, wanted

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    wanted.add_arguments(parser)
    parser.add_argument("--seed", type=int, default=1991921, help="of the draw; default: 1991921")
    options = parser.parse_args()
    with errors.reported():
        asked = wanted.of_options(options)
        folder = prepare.prepare(options.data_dir, last="unpack", wanted=asked)
        picture = options.data_dir / prepare.PICTURES / "samples.png"
        pictures.samples(folder, archive.hashes(folder), options.seed, picture)
        print(f"picture {picture}")
