from __future__ import annotations

import io
import os
import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.cards.cards import CardError, ModelCard
from panopticon.models.checkpoint import read_checkpoint
from panopticon.models.weights import verified_weights

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C


class Storage:
    """A storage of numbers, which torch's pickles name instead of containing it."""

    def __init__(self, kind: type, key: str, values: np.ndarray[Any, Any]) -> None:
        self.kind, self.key, self.values = kind, key, values


class TorchPickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, Storage):
            return ("storage", value.kind, value.key, "cpu", value.values.size, None)
        return None


class Tensor:
    def __init__(self, rebuild: Any, storage: Storage, *view: Any) -> None:
        self.rebuild, self.arguments = rebuild, (storage, *view, False, OrderedDict())

    def __reduce__(self) -> Any:
        return self.rebuild, self.arguments


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Install the parts of torch that pickling a tensor needs."""
    torch, inner = ModuleType("torch"), ModuleType("torch._utils")
    for name in ("FloatStorage", "LongStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch", "__qualname__": name}))

    for name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
        setattr(inner, name, type(name, (), {"__module__": "torch._utils", "__qualname__": name}))
    torch._utils = inner  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", inner)
    return torch


def checkpoint(tensors: Any, storages: list[Storage]) -> bytes:
    file = io.BytesIO()
    for value in (MAGIC_NUMBER, 1001, {"little_endian": True}, tensors, [each.key for each in storages]):
        TorchPickler(file, protocol=2).dump(value)
    for storage in storages:
        file.write(storage.values.size.to_bytes(8, "little") + storage.values.tobytes())
    return file.getvalue()


@pytest.fixture
def small(torch: ModuleType) -> bytes:
    """A checkpoint of two tensors: a transposed view that begins inside its storage, and a scalar count."""
    floats = Storage(torch.FloatStorage, "a", np.arange(8, dtype="<f4"))
    count = Storage(torch.LongStorage, "b", np.array([7], dtype="<i8"))
    rebuild = torch._utils._rebuild_tensor_v2
    tensors = OrderedDict(
        w=Tensor(rebuild, floats, 2, (2, 3), (1, 2)), n=Tensor(rebuild, count, 0, (), ()), note="text"
    )
    return checkpoint(tensors, [floats, count])


def read(folder: Path, content: bytes) -> dict[str, np.ndarray[Any, Any]]:
    path = folder / "model.pth"
    path.write_bytes(content)
    return read_checkpoint(path)


def test_tensors_are_read_with_their_offsets_strides_and_dtypes(tmp_path: Path, small: bytes) -> None:
    tensors = read(tmp_path, small)
    assert tensors.keys() == {"w", "n"}
    assert tensors["w"].tolist() == [[2, 4, 6], [3, 5, 7]]
    assert tensors["w"].dtype == np.float32
    assert tensors["n"].item() == 7


def test_a_parameter_is_read_as_its_tensor(tmp_path: Path, torch: ModuleType) -> None:
    storage = Storage(torch.FloatStorage, "a", np.array([5], dtype="<f4"))
    tensor = Tensor(torch._utils._rebuild_tensor_v2, storage, 0, (1,), (1,))
    parameter = Runs(torch._utils._rebuild_parameter, tensor, True, OrderedDict())
    assert read(tmp_path, checkpoint({"p": parameter}, [storage]))["p"].tolist() == [5]


def test_a_storage_of_an_unknown_number_type_is_refused(tmp_path: Path, torch: ModuleType) -> None:
    storage = Storage(OrderedDict, "a", np.array([5], dtype="<f4"))
    tensor = Tensor(torch._utils._rebuild_tensor_v2, storage, 0, (1,), (1,))
    with pytest.raises(CardError, match="not a storage of numbers"):
        read(tmp_path, checkpoint({"w": tensor}, [storage]))


class Runs:
    """An object that pickles to a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("place", range(5))
def test_a_pickle_that_calls_a_system_command_is_refused_and_nothing_runs(tmp_path: Path, place: int) -> None:
    marker = tmp_path / "ran"
    parts: list[Any] = [MAGIC_NUMBER, 1001, {}, {}, []]
    parts[place] = Runs(os.system, f"touch {marker}")
    with pytest.raises(CardError, match=r"refused: it refers to \w+\.system"):
        read(tmp_path, b"".join(pickle.dumps(part, protocol=2) for part in parts))
    assert not marker.exists()


@pytest.mark.parametrize("function", [eval, exec, getattr, __import__, os.remove, io.open])
def test_a_pickle_that_names_another_function_is_refused(tmp_path: Path, function: Any) -> None:
    with pytest.raises(CardError, match="refused"):
        read(tmp_path, pickle.dumps(Runs(function, "x"), protocol=2))


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(0, (9,), (1,)), (7, (2,), (1,)), (0, (2,), (8,)), (-1, (1,), (1,)), (4, (3,), (-1,))],
)
def test_a_tensor_that_reaches_outside_its_storage_is_refused(
    tmp_path: Path, torch: ModuleType, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    storage = Storage(torch.FloatStorage, "a", np.arange(8, dtype="<f4"))
    tensor = Tensor(torch._utils._rebuild_tensor_v2, storage, offset, shape, strides)
    with pytest.raises(CardError, match="outside its storage"):
        read(tmp_path, checkpoint({"w": tensor}, [storage]))


def test_a_checkpoint_truncated_anywhere_is_refused(tmp_path: Path, small: bytes) -> None:
    for length in range(len(small)):
        with pytest.raises(CardError):
            read(tmp_path, small[:length])


@given(content=st.binary(max_size=200))
def test_bytes_that_are_not_a_checkpoint_are_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    with pytest.raises(CardError):
        read(tmp_path_factory.getbasetemp(), content)


def test_another_pickle_is_refused_as_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="not a legacy torch checkpoint"):
        read(tmp_path, pickle.dumps({}) * 5)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CardError, match=r"model\.pth: No such file"):
        read_checkpoint(tmp_path / "model.pth")


def test_the_taggers_checkpoint_is_read_whole(tagger: ModelCard) -> None:
    tensors = read_checkpoint(verified_weights(tagger))
    assert len(tensors) == 296
    assert tensors["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert tensors["_fc.weight"].shape == (1000, 1280)
    assert all(np.isfinite(tensor).all() for tensor in tensors.values())
