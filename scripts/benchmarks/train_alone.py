"""Run as a program: one run of faceemo in a process of its own, measured once (see train.py).

python train_alone.py start ARCH VARIANT,FIELD=VALUE...
python train_alone.py memory ARCH VARIANT,FIELD=VALUE...

Prints JSON. 'start' is how long the first step takes; 'memory' what `steps_per_epoch` steps take of
memory, and of the time outside the compiled step.
"""

import json
import resource
import sys
import time


def start(arch: str, arg: str) -> dict[str, object]:
    """Seconds until a step can begin, imports included, of two steps; the first one's loss."""
    began = time.perf_counter()
    import jax
    import train_faceemo

    from faceemo.data.pipeline import epoch_batches
    from faceemo.train import compile_cache, parallel

    compile_cache.keep()
    stepping = train_faceemo.Stepping(train_faceemo.Run.of(arch, arg))
    batch = parallel.shard(next(epoch_batches(stepping.run.splits["train"], 32)))
    found: dict[str, object] = {"before": time.perf_counter() - began}
    for name in ("first", "second"):
        began = time.perf_counter()
        stepping.state, sums = stepping.step(stepping.state, batch, 0)
        jax.block_until_ready((stepping.state, sums))
        found[name] = time.perf_counter() - began
        found.setdefault("loss", float(parallel.unreplicate(sums)["loss"]).hex())
    return found


def memory(arch: str, arg: str) -> dict[str, float]:
    """Bytes, and the share of the time of an epoch that the compiled step does not take.

    Every step is waited for, so that nothing of the host's work hides behind the next one: the
    share is an upper bound.
    """
    import jax
    import train_faceemo

    from faceemo.data.pipeline import epoch_batches
    from faceemo.train import parallel

    stepping = train_faceemo.Stepping(train_faceemo.Run.of(arch, arg))
    config, state = stepping.run.config, stepping.state
    before = _peak()
    first = parallel.shard(next(epoch_batches(stepping.run.splits["train"], config.batch_size)))
    compiled = stepping.step.lower(state, first, 0).compile()
    seconds: list[float] = []

    def timed(*arguments: object) -> object:
        began = time.perf_counter()
        results = jax.block_until_ready(compiled(*arguments))
        seconds.append(time.perf_counter() - began)
        return results

    stepping.step = timed
    stepping.train()
    seconds.clear()
    began = time.perf_counter()
    stepping.train()
    whole = time.perf_counter() - began
    sizes = compiled.memory_analysis()
    return {
        "before": before,
        "peak": _peak(),
        "state": sum(leaf.nbytes for leaf in jax.tree.leaves(stepping.state)),
        "donated": sizes.alias_size_in_bytes,
        "temporary": sizes.temp_size_in_bytes,
        "step": sum(seconds) / len(seconds),
        "host": (whole - sum(seconds)) / len(seconds),
    }


def _peak() -> int:
    """Bytes of memory that this process has had at most."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    _, what, *rest = sys.argv
    print(json.dumps({"start": start, "memory": memory}[what](*rest)))
