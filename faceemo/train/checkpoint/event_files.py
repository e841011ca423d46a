"""The event files of a run, which TensorBoard reads: they lie in the run's folder itself.

TensorBoard names a run after its folder, so that `tensorboard --logdir checkpoints` shows all runs
by their names.
"""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from faceemo import staging
from faceemo.train import parallel
from faceemo.train.checkpoint.clu_modules import import_clu

# Versions of faceemo up to November 2026 wrote into this folder below the run's.
_OLD_FOLDER = "metrics"
_PATTERN = "events.out.tfevents.*"


def open_writer(workdir: Path, config: ConfigDict, step: int) -> Any:
    """Opens a writer that continues the run's events after `step`, and writes the configuration.

    Args:
        workdir: The run's folder.
        config: The run's configuration; its fields are TensorBoard's hyper-parameters.
        step: Number of steps in the checkpoint that the run resumes from; 0 if it starts. Events of
            later steps are removed, because these steps are trained, and written, again.

    Returns:
        A `clu.metric_writers.MetricWriter`; in all processes but the first, one that only logs.
    """
    metric_writers = import_clu("metric_writers")
    writers = [metric_writers.LoggingWriter()]
    if parallel.is_first():
        _move_old_files(workdir)
        for path in list_event_files(workdir):
            _remove_events(path, step)
        # Imported here because it takes a second.
        from faceemo.train.checkpoint.event_writer import EventWriter

        writers.append(EventWriter(workdir))
    writer = metric_writers.MultiWriter(writers)
    writer.write_hparams(config.to_dict())
    return writer


def list_event_files(workdir: Path) -> list[Path]:
    """Returns the event files of the run in `workdir`, the oldest first."""
    return sorted(workdir.glob(_PATTERN))


def _move_old_files(workdir: Path) -> None:
    """Moves event files of an older version of faceemo into the run's folder."""
    folder = workdir / _OLD_FOLDER
    for path in folder.glob(_PATTERN):
        path.rename(workdir / path.name)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _remove_events(path: Path, after: int) -> None:
    """Removes events of steps later than `after` from a file, and the hyper-parameters at step 0.

    A file without any other event is removed.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    from faceemo.train.checkpoint.event_writer import read_records

    kept, has_values, complete = [], False, True
    for record in read_records(path):
        event = Event.FromString(record)
        has_values |= (keep := event.HasField("summary") and 0 < event.step <= after)
        keep |= not event.HasField("summary")
        complete &= keep
        if keep:
            kept.append(record)
    if not has_values:
        path.unlink()
    elif not complete:
        with staging.file(path) as partial, partial.open("wb") as file:
            records = RecordWriter(file)
            for record in kept:
                records.write(record)
