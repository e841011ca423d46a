"""Files of records, each whole or not at all: a killed process loses only the unfinished one."""

import concurrent.futures
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from array_record.python import array_record_module
from tqdm import tqdm

from faceemo import staging

RECORDS = 4096  # in a file, the last one excepted
_AHEAD = 256  # records that are made at a time, by all cores together


def write(
    folder: Path, name: str, items: Sequence[str], make_record: Callable[[str], bytes]
) -> list[Path]:
    """Writes a record for each item into files of `RECORDS`, which hold them in order.

    Files that are there already are taken for those of an earlier call that was killed: the folder
    must belong to these items alone.

    Args:
        folder: Folder of the files.
        name: The beginning of their names.
        items: What the records are made of.
        make_record: Returns the record of an item; several threads call it.

    Returns:
        The files, in order.
    """
    starts = range(0, len(items), RECORDS)
    files = [folder / f"{name}-{number:05}.array_record" for number in range(len(starts))]
    with (
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=len(items), desc=f"building {name}", disable=None, unit="image") as progress,
    ):
        for file, start in zip(files, starts, strict=True):
            part = items[start : start + RECORDS]
            if file.exists():
                progress.update(len(part))
                continue
            with staging.file(file) as partial:
                writer = array_record_module.ArrayRecordWriter(str(partial), "group_size:1")
                try:
                    for record in _make_records(pool, part, make_record):
                        writer.write(record)
                        progress.update()
                finally:
                    writer.close()
    return files


def _make_records(
    pool: concurrent.futures.Executor, items: Sequence[str], make_record: Callable[[str], bytes]
) -> Iterator[bytes]:
    """Yields the records of items in order, of which few are in memory at a time."""
    for start in range(0, len(items), _AHEAD):
        yield from pool.map(make_record, items[start : start + _AHEAD])
