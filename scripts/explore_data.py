"""Unpacks and counts the images, and writes an HTML page about them.

    python scripts/explore_data.py --data_dir data

Fills data/Facial_emotion_images, draws data/pictures/samples.png and writes data/exploration.html:
mean faces, counts, samples and brightness. If face detection and duplicate removal were run, the
page also shows their findings, leaks between the splits, and the images that were left out and why.
"""

import argparse

from faceemo import errors
from faceemo.analysis.dataset import exploration
from faceemo.data.prepare import pictures, prepare
from faceemo.data.source import archive, selection
from faceemo.data.source.selection import Selection

if __name__ == "__main__":
    parser = errors.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    selection.add_arguments(parser)
    parser.add_argument(
        "--seed", type=int, default=1991921, help="seed of the sample (default: %(default)s)"
    )
    options = parser.parse_args()
    with errors.reported():
        chosen = Selection.from_options(options)
        folder = prepare.prepare(options.data_dir, last="unpack", selection=chosen)
        hashes = archive.hash_images(folder)
        picture = options.data_dir / prepare.PICTURES / "samples.png"
        pictures.draw_samples(folder, hashes, options.seed, picture)
        print(f"picture {picture}")
        print(f"page    {exploration.write(options.data_dir, options.seed, hashes)}")
