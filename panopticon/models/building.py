"""Building the Keras model of a card."""

from __future__ import annotations

from typing import Any

from panopticon.cards.cards import CardError, ModelCard
from panopticon.errors import UsageError
from panopticon.models.saved import saved_model
from panopticon.plugins import load_plugin


def build_model(card: ModelCard) -> Any:
    """Call the card's builder, or read its saved model, on the configured Keras backend.

    Returns: keras.Model, (N, height_px, width_px, 3) uint8 → (N, D) float32.
    Raises: CardError if the builder cannot be found or builds another shape, the weights are not the card's,
    or as `saved_model` does; UsageError if Keras or its backend is not installed.
    """
    require_keras()
    if card.is_saved_model:
        model = saved_model(card)
    else:
        try:
            build = load_plugin(card.architecture)
        except ImportError as error:
            raise CardError(f"{card.version_name}: architecture {card.architecture!r}: {error}") from None
        model = build(card)
    expected = ((None, card.input.height_px, card.input.width_px, 3), (None, len(card.labels)))
    actual = (tuple(model.input_shape), tuple(model.output_shape))
    if actual != expected:
        raise CardError(
            f"{card.version_name}: its model maps {actual[0]} to {actual[1]}, its card expects {expected}"
        )
    if model.inputs[0].dtype != "uint8":
        raise CardError(f"{card.version_name}: its model takes {model.inputs[0].dtype}, not uint8")
    return model


def require_keras() -> None:
    """Import Keras and its backend. Raises: UsageError if either is not installed."""
    try:
        import keras  # noqa: F401 - imports its backend, so that the error names a missing one
    except ModuleNotFoundError as missing:
        package = (missing.name or "Keras's backend").partition(".")[0]
        raise UsageError(
            f"{package} is not installed, and building models needs it: pip install 'panopticon[cpu]'"
        ) from None
