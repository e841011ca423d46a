"""Reads state dicts that PyTorch saved before its version 1.6, without PyTorch.

Such a file holds five pickles (a magic number, the protocol, sizes of types, the dict, the keys of
its storages) and then each storage: its number of elements and their bytes. Tensors are views of
the storages.
"""

import collections
import dataclasses
import pickle
from pathlib import Path
from typing import IO, Any

import numpy as np

_DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


@dataclasses.dataclass(frozen=True)
class _View:
    """A tensor's part of a storage.

    Attributes:
        storage: Key and dtype of the storage.
        offset: Index of the first element.
        shape: Shape of the tensor.
        strides: Strides of the tensor, in elements.
    """

    storage: tuple[str, np.dtype]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows only the names in state dicts, so that a file cannot run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _View(
                storage, offset, shape, strides
            )
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a state dict")

    def persistent_load(self, pid: Any) -> tuple[str, np.dtype]:
        _, dtype, key, *_ = pid
        return key, dtype


def read(path: Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a state dict.

    Args:
        path: A file that is known to be whole and of this kind (see `faceemo.assets.catalogue`).

    Returns:
        Arrays by name, float32 or int64, in PyTorch's layout (kernels are OIHW).

    Raises:
        pickle.UnpicklingError: If the file names anything but tensors.
    """
    with path.open("rb") as file:
        for _ in range(3):
            _Unpickler(file).load()
        views: dict[str, _View] = _Unpickler(file).load()
        keys: list[str] = _Unpickler(file).load()
        dtypes = dict(view.storage for view in views.values())
        storages = {key: _read_storage(file, dtypes[key]) for key in keys}
    return {name: _make_tensor(view, storages) for name, view in views.items()}


def _read_storage(file: IO[bytes], dtype: np.dtype) -> np.ndarray:
    count = int.from_bytes(file.read(8), "little")
    return np.frombuffer(file.read(count * dtype.itemsize), dtype)


def _make_tensor(view: _View, storages: dict[str, np.ndarray]) -> np.ndarray:
    numbers = storages[view.storage[0]][view.offset :]
    strides = [stride * numbers.itemsize for stride in view.strides]
    return np.lib.stride_tricks.as_strided(numbers, view.shape, strides, writeable=False).copy()
