"""Shows what is in the images: unpacks them, counts them, and makes a page to look at.

    python scripts/explore_data.py --data_dir data

Fills data/Facial_emotion_images, draws data/pictures/samples.png and writes data/exploration.html:
mean faces, counts, samples, light; and, as far as those steps are done, what the face detector and
the search for duplicates found, what leaks between the splits, what was left out and why.
"""

import argparse

from faceemo import errors
from faceemo.analysis.dataset import exploration
from faceemo.data.prepare import pictures, prepare
from faceemo.data.source import archive, selection

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    selection.add_arguments(parser)
    parser.add_argument("--seed", type=int, default=1991921, help="of the draw; default: 1991921")
    options = parser.parse_args()
    with errors.reported():
        asked = selection.of_options(options)
        folder = prepare.prepare(options.data_dir, last="unpack", selection=asked)
        hashes = archive.hashes(folder)
        picture = options.data_dir / prepare.PICTURES / "samples.png"
        pictures.samples(folder, hashes, options.seed, picture)
        print(f"picture {picture}")
        print(f"page    {exploration.write(options.data_dir, options.seed, hashes)}")
