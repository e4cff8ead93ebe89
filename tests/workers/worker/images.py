"""Leased images for the tests of policies."""

from __future__ import annotations

from panopticon.interfaces import Delivery
from panopticon.messages import ImageMessage, Lane
from panopticon.results.outputs import OutputKey
from workers.worker.in_flight import LeasedImage


def leased(image_id: str = "1", *, attempt: int = 0, host: str = "https://a") -> LeasedImage:
    """An image of model `colour@1`, whose delivery has spent this many attempts."""
    uri = f"{host}/{image_id}"
    delivery = Delivery(
        tag=image_id, body=image_id.encode(), lane=Lane.LIVE, attempt=attempt, redelivered=False
    )
    return LeasedImage(
        delivery=delivery,
        message=ImageMessage(image_id=image_id, image_uri=uri),
        key=OutputKey(image_id=image_id, model="colour", version=1, revision=0),
        uri=uri,
        host=host,
    )
