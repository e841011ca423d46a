"""Program that train.py runs: measures one run of faceemo once, in its own process.

    python train_once.py start ARCH VARIANT,FIELD=VALUE...
    python train_once.py memory ARCH VARIANT,FIELD=VALUE...

Prints JSON. 'start' measures the time of the first step; 'memory' the memory of `steps_per_epoch`
steps, their time outside the compiled step, and the page faults that they cause.
"""

import json
import resource
import sys
import time

from faceemo.commands import heap


def measure_start(arch: str, arg: str) -> dict[str, object]:
    """Measures the seconds before the first step (with imports) and of two steps, and the loss."""
    began = time.perf_counter()
    import jax
    import train_faceemo

    from faceemo.data.pipeline import epoch_batches
    from faceemo.train import parallel
    from faceemo.train.checkpoint import libraries
    from faceemo.train.programs import compile_cache, stored_steps

    compile_cache.enable()
    run = train_faceemo.Run.from_argument(arch, arg)
    libraries.choose(run.config, None)
    stepper = train_faceemo.Stepper(run)
    facts = (run.config.to_json(sort_keys=True), run.start.model, run.start.preprocessing)
    stepper.step = stored_steps.store(stepper.step, "benchmark", *facts)
    batch = parallel.shard(next(epoch_batches(stepper.run.splits["train"], 32)))
    results: dict[str, object] = {"before": time.perf_counter() - began}
    for name in ("first", "second"):
        began = time.perf_counter()
        stepper.state, sums = stepper.step(stepper.state, batch, 0)
        jax.block_until_ready((stepper.state, sums))
        results[name] = time.perf_counter() - began
        results.setdefault("loss", float(parallel.unreplicate(sums)["loss"]).hex())
    return results


def measure_memory(arch: str, arg: str) -> dict[str, float]:
    """Measures bytes of memory, and seconds and page faults per step.

    The seconds are those inside and those outside the compiled step.

    It waits for every step, so that the host's work cannot overlap with the next one: the seconds
    outside are an upper bound.
    """
    import jax
    import train_faceemo

    from faceemo.data.pipeline import epoch_batches
    from faceemo.train import parallel

    stepper = train_faceemo.Stepper(train_faceemo.Run.from_argument(arch, arg))
    config, state = stepper.run.config, stepper.state
    before = _peak_bytes()
    first = parallel.shard(next(epoch_batches(stepper.run.splits["train"], config.batch_size)))
    compiled = stepper.step.lower(state, first, 0).compile()
    seconds: list[float] = []

    def timed_step(*arguments: object) -> object:
        began = time.perf_counter()
        results = jax.block_until_ready(compiled(*arguments))
        seconds.append(time.perf_counter() - began)
        return results

    stepper.step = timed_step
    for _ in range(2):  # until memory that the process keeps has grown to its size
        stepper.train()
    seconds.clear()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    began = time.perf_counter()
    stepper.train()
    total = time.perf_counter() - began
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    sizes = compiled.memory_analysis()
    return {
        "before": before,
        "peak": _peak_bytes(),
        "state": sum(leaf.nbytes for leaf in jax.tree.leaves(stepper.state)),
        "donated": sizes.alias_size_in_bytes,
        "temporary": sizes.temp_size_in_bytes,
        "step": sum(seconds) / len(seconds),
        "host": (total - sum(seconds)) / len(seconds),
        "faults": faults / len(seconds),
    }


def _peak_bytes() -> int:
    """Returns the peak memory of this process."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    heap.keep()
    _, what, *rest = sys.argv
    print(json.dumps({"start": measure_start, "memory": measure_memory}[what](*rest)))
