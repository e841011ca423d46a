"""The sizes of the batches in which faces are predicted."""

# Faces per batch. JAX pads batches to powers of two, so that there are six programs.
MAX_BATCH = 32


def padded_size(count: int) -> int:
    """Returns the number of rows to which a batch of 1 to `MAX_BATCH` faces is padded."""
    return 1 << (count - 1).bit_length()
