"""Predictions for a whole split with the evaluation step."""

from collections.abc import Callable
from typing import Any

import numpy as np
from tqdm import tqdm

from faceemo.data.pipeline import Split, epoch_batches, steps_per_epoch
from faceemo.train.parallel import own_part, shard, unreplicate


def predict_split(
    step: Callable[[Any, Any, Any], Any],
    params: Any,
    batch_stats: Any,
    split: Split,
    batch_size: int,
    *,
    name: str,
) -> np.ndarray:
    """Computes the logits of every image, float32 [N, C], in the split's order.

    Args:
        step: The evaluation step, mapped over the devices (`parallel.map_eval_step`).
        params: The parameters, with a leading device axis.
        batch_stats: The batch statistics, with a leading device axis.
        split: N images.
        batch_size: Images per step, over all devices; the last batch is padded, not dropped.
        name: Title of the progress bar.
    """
    rows = []
    total = steps_per_epoch(len(split), batch_size)
    batches = epoch_batches(split, batch_size, part=own_part(batch_size))
    for batch in tqdm(batches, name, total, unit="batch", leave=False, disable=None):
        logits = unreplicate(step(params, batch_stats, shard(batch).images))
        # Padding is at the end of a batch, and only of the last one.
        rows.append(logits.reshape(-1, logits.shape[-1])[:batch_size])
    return np.concatenate(rows)[: len(split)]
