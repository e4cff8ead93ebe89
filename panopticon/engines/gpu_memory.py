"""The share of a GPU's memory that one model process may take: `needs.gpu_memory_mb` of its card.

Each library takes nearly the whole GPU by default, so that a second process would find none. The share goes
to the library in its own terms: TensorFlow takes megabytes, JAX and torch a fraction of the GPU.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from panopticon.cards.cards import ModelCard
from panopticon.errors import UsageError

MB_BYTES = 1024 * 1024


def fraction(*, share_mb: int, total_mb: int) -> float:
    """Return the share as a fraction of the GPU, at most the whole of it."""
    return min(share_mb / total_mb, 1.0)


def jax_environment(*, share_mb: int, total_mb: int) -> dict[str, str]:
    """Return the variables that must be set before JAX is imported; other libraries do not read them."""
    return {
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{fraction(share_mb=share_mb, total_mb=total_mb):.4f}",
    }


def limit_gpu_memory(backend: str, *, share_mb: int) -> None:
    """Limit this process to its share, before the first model is built. `backend`: a backend of Keras.

    Without a share, or without a GPU that the library sees, nothing is changed.
    """
    if not share_mb:
        return
    if backend == "tensorflow":
        config = import_module("tensorflow").config
        for gpu in config.list_physical_devices("GPU"):
            limit = config.LogicalDeviceConfiguration(memory_limit=share_mb)
            config.set_logical_device_configuration(gpu, [limit])
    elif backend == "torch":
        cuda = import_module("torch").cuda
        if cuda.is_available():
            total_mb = cuda.get_device_properties(0).total_memory // MB_BYTES
            cuda.set_per_process_memory_fraction(fraction(share_mb=share_mb, total_mb=total_mb))


def refuse_overcommitted_gpu(
    cards_with_replicas: Iterable[tuple[ModelCard, int]], total_mb: int | None
) -> None:
    """Do nothing without a GPU (`total_mb` None).

    Raises: UsageError in one line if the shares of all processes together are more than the GPU has.
    """
    shares = [(card, replicas) for card, replicas in cards_with_replicas if card.needs.gpu_memory_mb]
    asked_mb = sum(card.needs.gpu_memory_mb * replicas for card, replicas in shares)
    if total_mb is None or asked_mb <= total_mb:
        return
    parts = " + ".join(
        f"{replicas} × {card.version_name} {card.needs.gpu_memory_mb}" for card, replicas in shares
    )
    raise UsageError(
        f"gpu_memory_mb: {parts} = {asked_mb} MB is more than the GPU's {total_mb} MB; serve fewer models or "
        "replicas, or lower gpu_memory_mb in their cards"
    )
