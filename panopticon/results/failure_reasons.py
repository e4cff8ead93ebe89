"""Reason codes of failures that several programs have to recognise."""

INDEX_REFUSED = "index_refused"
"""The search index refused the change."""

MAY_BEFALL_EVERY_IMAGE = frozenset(
    {
        "address_not_allowed",
        "archived",
        "bad_uri",
        "bucket_not_allowed",
        "connection_failed",
        "connection_reset",
        "content_encoding",
        "dns",
        "fetch_timed_out",
        "forbidden",
        "gone",
        "io_error",
        "no_uri",
        "not_a_file",
        "not_finite",
        "not_found",
        "path_not_allowed",
        "permission_denied",
        "redirect_not_allowed",
        "timeout",
        "tls",
        "too_many_redirects",
    }
)
"""Reasons that may be the fault of a source, of a setting or of the model, in place of one image."""


def may_befall_every_image(reason: str) -> bool:
    """Return whether a failure may have its cause outside the image, so that every other would fail as well.

    Any other reason is about the bytes of a picture, which were fetched then.
    """
    return reason in MAY_BEFALL_EVERY_IMAGE or reason.startswith("http_")
