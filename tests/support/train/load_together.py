"""Program: loads the images of a folder in one of two processes, and prints what they are.

    python -m tests.support.train.load_together FOLDER PROCESS PORT MEMORY_SHARE [DATA_PARTS]

The folder holds unique_images. Only the first process may prepare, build or write. With DATA_PARTS,
the folder holds those of two hosts, host0 and host1, in each of which one of the processes runs.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from unittest import mock

import jax
import numpy as np

from faceemo.config import make_config
from faceemo.data import builder
from faceemo.data.division import list_part
from faceemo.data.prepare import prepare
from faceemo.data.prepare.record import Record
from faceemo.errors import reported
from faceemo.experiments import load_images
from faceemo.train import parallel
from faceemo.train.checkpoint.provenance import digest_split


def main():
    folder, process, port, share, *parts = sys.argv[1:]
    parallel.join(f"localhost:{port}", 2, int(process))
    calls = []

    def prepare_nothing(root, *args, **options):
        calls.append("prepare")
        Record(root).finish("unpack", inputs={"source": "", "images": "digest"})

    def build(*args, real=builder.load):
        calls.append("build")
        return real(*args)

    mock.patch.object(prepare, "prepare", prepare_nothing).start()
    mock.patch.object(builder, "load", build).start()
    open_file = []
    sys.addaudithook(
        lambda event, args: (
            event == "open" and set(str(args[1])) & set("wax+") and open_file.append(str(args[0]))
        )
    )
    fields = f"data_dir={folder},memory_share={share}"
    if parts:
        os.chdir(Path(folder) / f"host{process}")
        fields = f"data_dir=data,memory_share={share},data_parts={parts[0]}"
    config = make_config("vgg16", f"7,{fields}")
    with reported():
        splits = load_images.load(config)
    written = [path for path in open_file if path.startswith(str(Path(folder)))]
    digests = {name: digest_split(split) for name, split in splits.items()}
    kind = {type(split.images).__name__ for split in splits.values()}
    here = parallel.count_processes_here()
    train = splits["train"]
    own = train.images[list_part(train.labels, int(process), 2)]
    ends = parallel.take_everywhere(train.images, np.array([0, len(train) - 1]))
    seen = [hashlib.sha256(images.tobytes()).hexdigest() for images in (ends, own)]
    print(json.dumps([calls, bool(written), digests, sorted(kind), here, *seen]))
    jax.distributed.shutdown()  # waits for the other, which may still be reading


if __name__ == "__main__":
    main()
