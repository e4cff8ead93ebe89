"""The HTTP service: the models over HTTP, for any image, with a bounded answer time."""
