"""A restricted reader of torch's legacy checkpoint format. It needs no torch and runs no code from the file.

The file is five pickles (magic number, protocol, system info, the tensors, their storage keys), then for each
key an int64 count and that many raw values. A tensor is a view (offset, shape, strides) of one storage.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from panopticon.cards.cards import CardError

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001

_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "<?",
}


def read_checkpoint(path: Path) -> dict[str, NDArray[Any]]:
    """Read the tensors of a state dict, by name, as read-only arrays of their own shape and dtype.

    Raises: CardError if the file is not such a checkpoint, ends early, or refers to any Python name that
    tensors do not need.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except OSError as error:
        raise CardError(f"checkpoint {path}: {error.strerror}") from None
    except _BAD_PICKLE as error:
        raise CardError(f"checkpoint {path}: {error}") from None


_BAD_PICKLE = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
)
"""Exceptions of an unpickler for bytes that are not a pickle, or not the expected one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """A tensor whose storage has not been read yet."""

    key: str
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """Step of each dimension, in elements."""


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows the names that tensors need, and refuses every other one before any call."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"refused: it refers to {module}.{name}, which no tensor needs")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        """Return key and type of the storage ('storage', type, key, device, count, view)."""
        kind, dtype, key = pid[:3]
        if kind != "storage" or dtype not in _DTYPES.values():
            raise pickle.UnpicklingError("refused: not a storage of numbers")
        return key, dtype


def _view(storage: tuple[str, str], offset: int, shape: Any, strides: Any, *_: Any) -> _View:
    key, dtype = storage
    return _View(key=key, dtype=dtype, offset=offset, shape=tuple(shape), strides=tuple(strides))


def _parameter(view: _View, *_: Any) -> _View:
    return view


_ALLOWED: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor_v2"): _view,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("collections", "OrderedDict"): OrderedDict,
}


def _read(file: BinaryIO) -> dict[str, NDArray[Any]]:
    if (_next(file), _next(file)) != (_MAGIC_NUMBER, _PROTOCOL):
        raise ValueError("not a legacy torch checkpoint")
    _next(file)  # the system info, which the tensors do not need
    views = {name: view for name, view in _next(file).items() if isinstance(view, _View)}
    dtypes = {view.key: view.dtype for view in views.values()}
    storages = {}
    for key in _next(file):
        dtype, count = np.dtype(dtypes[key]), int.from_bytes(_exactly(file, 8), "little")
        storages[key] = np.frombuffer(_exactly(file, count * dtype.itemsize), dtype)
    return {name: _tensor(view, storages[view.key]) for name, view in views.items()}


def _next(file: BinaryIO) -> Any:
    return _Unpickler(file).load()


def _exactly(file: BinaryIO, size_bytes: int) -> bytes:
    content = file.read(size_bytes)
    if len(content) != size_bytes:
        raise EOFError("it ends early")
    return content


def _tensor(view: _View, storage: NDArray[Any]) -> NDArray[Any]:
    """Make a strided view. Raises: ValueError if it reaches outside its storage: numpy does not check."""
    bounds = (view.offset, *view.shape, *view.strides)
    last = view.offset + sum((size - 1) * step for size, step in zip(view.shape, view.strides, strict=True))
    if any(not isinstance(bound, int) or bound < 0 for bound in bounds) or last >= storage.size:
        raise ValueError("a tensor reaches outside its storage")
    strides_bytes = tuple(step * storage.itemsize for step in view.strides)
    return as_strided(storage[view.offset :], view.shape, strides_bytes, writeable=False)
