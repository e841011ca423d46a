"""The comparison of a file's probabilities with its network's."""

from collections.abc import Callable

import numpy as np

# Largest difference of a probability from the network's, by the precision of the file. In float32
# two runtimes add in different orders. `builtin-four` differs in float16 by 0.003 on
# drawn faces, `builtin` by 0.01; in int8 `builtin-four` differs by 0.03 on 32 faces and by 0.15 on
# 4,881.
TOLERANCES = {"float32": 1e-4, "float16": 0.03, "int8": 0.15}
_SINGLE_FACES = 3  # faces that are also compared one at a time


def measure_difference(
    run: Callable[[np.ndarray], np.ndarray], faces: np.ndarray, expected: np.ndarray
) -> float:
    """Returns the largest difference of a probability, in a batch and one face at a time.

    Args:
        run: The function of the file, from faces to probabilities [N, C].
        faces: The faces, in the network's format.
        expected: The network's probabilities, float32 [N, C].

    Returns:
        The difference; 1 if shapes differ.
    """
    found = [run(faces), *(run(one[None]) for one in faces[:_SINGLE_FACES])]
    rows = [expected, *(row[None] for row in expected[:_SINGLE_FACES])]
    if any(one.shape != other.shape for one, other in zip(found, rows, strict=True)):
        return 1.0
    return float(np.abs(np.concatenate(found) - np.concatenate(rows)).max())
