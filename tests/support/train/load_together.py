"""Program: loads the images of a folder in one of two processes, and prints what they are.

    python -m tests.support.train.load_together FOLDER PROCESS PORT MEMORY_SHARE

The folder holds unique_images. Only the first process may prepare, build or write.
"""

import json
import sys
from pathlib import Path
from unittest import mock

import jax

from faceemo.config import make_config
from faceemo.data import builder
from faceemo.data.prepare import prepare
from faceemo.data.prepare.record import Record
from faceemo.errors import reported
from faceemo.experiments import load_images
from faceemo.train import parallel
from faceemo.train.checkpoint.provenance import digest_split


def main():
    folder, process, port, share = sys.argv[1:]
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
    config = make_config("vgg16", f"7,data_dir={folder},memory_share={share}")
    with reported():
        splits = load_images.load(config)
    written = [path for path in open_file if path.startswith(str(Path(folder)))]
    digests = {name: digest_split(split) for name, split in splits.items()}
    kind = {type(split.images).__name__ for split in splits.values()}
    here = parallel.count_processes_here()
    print(json.dumps([calls, bool(written), digests, sorted(kind), here]))
    jax.distributed.shutdown()  # waits for the other, which may still be reading


if __name__ == "__main__":
    main()
