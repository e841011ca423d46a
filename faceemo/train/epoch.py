"""One epoch of training steps, which can start at any batch, save on the way and stop."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

from ml_collections import ConfigDict
from tqdm import tqdm

from faceemo.data.augment.mixing import training_batches
from faceemo.data.disk.stored_images import StoredImages
from faceemo.data.pipeline import Split, steps_per_epoch
from faceemo.train import parallel
from faceemo.train.checkpoint.progress import Progress
from faceemo.train.checks import watchdog
from faceemo.train.interrupt import Stopped
from faceemo.train.metrics import Totals
from faceemo.train.state import TrainState

# A short bar, so that all numbers fit into a hundred columns.
_BAR = (
    "{desc} {percentage:.0f}%|{bar:10}| {n_fmt}/{total_fmt} {rate_fmt}, left {remaining}{postfix}"
)
# Seconds between lines about an epoch where the output shows no bar, as in a pipe.
_SILENCE = 60


@contextlib.contextmanager
def open_batches(split: Split, config: ConfigDict, progress: Progress) -> Iterator[Iterator[Any]]:
    """Yields all batches that a run has not trained on yet, cut for the devices.

    Images on disk are read ahead by threads or workers, which end with the context.

    Args:
        split: The training images.
        config: The run's configuration.
        progress: The run's progress.
    """
    done = len(progress.history)
    batches = training_batches(
        split,
        config,
        done,
        progress.batch,
        epochs=config.epochs - done,
        part=parallel.own_part(config.batch_size),
    )
    with contextlib.closing(batches):
        if isinstance(split.images, StoredImages):
            yield parallel.shard_ahead(batches)
        else:
            yield (parallel.shard(batch) for batch in batches)


def train_epoch(
    step: Callable[..., Any],
    state: TrainState,
    progress: Progress,
    split: Split,
    batches: Iterator[Any],
    config: ConfigDict,
    *,
    save: Callable[[TrainState, Progress], None],
    stop_requested: Callable[[], bool],
    report: Callable[[int], Any],
) -> tuple[TrainState, Progress]:
    """Runs the steps of the current epoch that `progress` has not done yet.

    The sums of a step are read while the next one runs: the device never waits for the host, and
    every process reads the same ones.

    Args:
        step: The training step, mapped over the devices (`parallel.map_train_step`).
        state: The training state, with a leading device axis; its memory is reused.
        progress: The run's progress before the first of these steps.
        split: The training images.
        batches: The batches from the first of these steps on (`open_batches`); those of later
            epochs are not taken.
        config: The run's configuration.
        save: Function that writes a checkpoint.
        stop_requested: Function that returns whether to stop, see `interrupt.catch_signals`.
        report: Function that is called with the number of steps done so far.

    Returns:
        The state and the progress after the epoch's last batch.

    Raises:
        UserError: If a loss or a gradient is not finite.
        Stopped: If a stop was requested, after saving.
    """
    epoch = len(progress.history)
    steps = steps_per_epoch(len(split), config.batch_size, config.steps_per_epoch)
    bar = tqdm(
        total=min(len(split), steps * config.batch_size),
        initial=int(progress.totals.accuracy.count),
        desc=f"epoch {epoch + 1}/{config.epochs}",
        unit="img",
        bar_format=_BAR,
        disable=None,
        leave=False,
    )
    began = time.perf_counter() - progress.seconds
    told, unread = time.perf_counter(), []
    with bar:
        for number in range(progress.batch + 1, steps + 1):
            state, sums = step(state, next(batches), epoch)
            unread.append((number, sums))
            stop, every = stop_requested(), config.checkpoint_every_steps
            due = bool(every) and (epoch * steps + number) % every == 0
            while len(unread) > (0 if stop or due or number == steps else 1):
                done, sums = unread.pop(0)
                sums = parallel.unreplicate(sums)
                watchdog.refuse_nonfinite(sums, epoch + 1, done, config)
                progress = dataclasses.replace(
                    progress,
                    batch=done,
                    totals=progress.totals.merge(Totals.from_step(sums)),
                    seconds=time.perf_counter() - began,
                    gradient_norms=progress.gradient_norms + float(sums["gradient_norm"]),
                )
                _show(bar, progress, config.epochs)
                if bar.disable and time.perf_counter() - told > _SILENCE:
                    loss = progress.totals.compute()["loss"]
                    print(f"epoch {epoch + 1:>2}  {done} of {steps} steps done, loss {loss:.4f}")
                    told = time.perf_counter()
                report(epoch * steps + done)
            # The end of an epoch is saved after its validation, unless the run has to stop before.
            if stop or (due and number < steps):
                save(state, progress)
            if stop:
                raise Stopped
    return state, progress


def _show(bar: tqdm, progress: Progress, epochs: int) -> None:
    shown = {name: f"{value:.3f}" for name, value in progress.totals.compute().items()}
    done = int(progress.totals.accuracy.count)
    # Until the end of the last epoch, at the speed of this one.
    images = (epochs - len(progress.history)) * bar.total - done
    left = tqdm.format_interval(int(progress.seconds * images / done))
    bar.set_postfix(shown | {"run left": left}, refresh=False)
    bar.update(done - bar.n)
