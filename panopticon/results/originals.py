"""The location of an image's original."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from panopticon.messages import ImageMessage


def original_uri(message: ImageMessage, template: str) -> str:
    """Return the message's URI, or `template` with the percent-encoded ID for `{image_id}`; may be empty."""
    return message.image_uri or template.replace("{image_id}", quote(message.image_id))


def host_of(uri: str) -> str:
    """Return scheme, host and port, which fail together; `file://` for files. Empty for an invalid URI."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"
