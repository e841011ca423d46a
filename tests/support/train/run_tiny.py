"""Program: trains the tiny model, and may kill itself on the way.

    python -m tests.support.train.run_tiny WORKDIR '{"epochs": 4}' [--kill file:37]
        [--disk FOLDER [--divided]] [--process 0 --port P]

Prints {'history', 'files', 'batches', 'read'} as JSON in its last line. `files` counts the
operations on files in WORKDIR, `batches` the batches, `read` the images of batches that were read
from disk; --kill names the number of files or batches at which to die. With --divided, the second
process lacks the files of the training images that only the first one's part needs.
"""

import argparse
import collections
import dataclasses
import json
import os
import signal
import sys
from pathlib import Path
from unittest import mock

import clu
import numpy as np

from faceemo.data.disk.stored_images import StoredImages
from faceemo.data.division import list_part
from faceemo.errors import reported
from faceemo.train import epoch, interrupt, loop, parallel
from faceemo.train.checkpoint.checkpoints import Checkpoints
from faceemo.train.checkpoint.provenance import make_recipe
from tests.support.data.on_disk import store
from tests.support.train.tiny import GREY, make_model, make_splits, make_start, tiny_config

FILE_EVENTS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree")


def divide(split, process):
    """Returns the split as two hosts divide it, after removing what the second one lacks."""
    images = split.images
    needed = images.find_files(list_part(split.labels, process, 2))
    lacking = [Path(path) for path, _ in images.files if path not in needed]
    assert lacking
    for path in lacking if process else ():
        path.unlink()
    return dataclasses.replace(split, images=dataclasses.replace(images, divided=True))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("workdir", type=Path)
    parser.add_argument("changes", type=json.loads)
    parser.add_argument("--kill", default="never:0")
    parser.add_argument("--disk", type=Path, help="folder into which the images are written")
    parser.add_argument("--divided", action="store_true")
    parser.add_argument("--process", type=int)
    parser.add_argument("--port", type=int)
    options = parser.parse_args()
    if options.process is not None:
        parallel.join(f"localhost:{options.port}", 2, options.process)
    counts = collections.Counter()
    kind, number = options.kill.split(":")

    def count(what):
        counts[what] += 1
        if what == kind and counts[what] == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(event, arguments):
        if event in FILE_EVENTS and str(options.workdir) in str(arguments[0]):
            count("file")

    def shard(batch, real=parallel.shard):
        count("batch")
        return real(batch)

    read = []  # by threads

    def take(images, rows, real=StoredImages.take):
        read.append(int((rows >= 0).sum()))
        return real(images, rows)

    # TensorFlow takes most of the time of a start, and no run resumes from what it writes.
    for module in ("metric_writers", "periodic_actions"):
        replaced = sys.modules[f"clu.{module}"] = mock.MagicMock()
        setattr(clu, module, replaced)
    sys.addaudithook(audit)
    epoch.parallel.shard = shard
    mock.patch.object(StoredImages, "take", take).start()
    if parallel.is_first():
        options.workdir.mkdir(exist_ok=True)
    config, splits = tiny_config(**options.changes), make_splits()
    if options.disk:
        splits = {
            name: store(split, options.disk / name, shards=10) for name, split in splits.items()
        }
    if options.divided:
        splits["train"] = divide(splits["train"], options.process)
    model = make_model(noise=0.2, statistics=True)
    recipe = make_recipe(config, GREY, {"source": "none"}, splits)
    with reported():
        checkpoints = Checkpoints(options.workdir, recipe)
        try:
            start = make_start(model, config.seed)
            history = loop.fit(config, start, splits, checkpoints, options.workdir)
        except interrupt.Stopped:
            sys.exit(interrupt.EXIT_CODE)
    done = {"files": counts["file"], "batches": counts["batch"], "read": sum(read)}
    print(json.dumps({"history": history} | done))


if __name__ == "__main__":
    np.seterr(all="raise")
    main()
