"""Where the original of an image lies."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from panopticon.messages import ImageMessage


def original_uri(message: ImageMessage, template: str) -> str:
    """The message's own URI, else `template` with the ID, percent-encoded, for `{image_id}`; may be empty."""
    return message.image_uri or template.replace("{image_id}", quote(message.image_id))


def host_of(uri: str) -> str:
    """What is down together: scheme, host and port; of files all. Empty for what is no URI."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"
