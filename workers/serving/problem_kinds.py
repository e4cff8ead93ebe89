"""Every kind of problem that the service answers with: its status, its meaning, and the way out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

PATH = "/v1/problems"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of problem: what it means to a client, and what the client does about it."""

    slug: str
    status: int
    title: str
    meaning: str
    way_out: str
    retry_after_s: float | None = None
    """The time to wait, for a problem of this kind that names none itself."""

    def as_dict(self) -> dict[str, object]:
        """Return what `GET /v1/problems/{slug}` answers."""
        return {
            "type": f"{PATH}/{self.slug}",
            "title": self.title,
            "status": self.status,
            "meaning": self.meaning,
            "way_out": self.way_out,
        }


_KINDS = (
    Kind(
        slug="malformed-request",
        status=400,
        title="The request is not valid HTTP",
        meaning="The bytes could not be read as one HTTP/1.1 request, or could be read in two ways.",
        way_out="Repair the client, or what lies between it and the service.",
    ),
    Kind(
        slug="malformed-body",
        status=400,
        title="The body cannot be read",
        meaning="The body ended early, or is not what its Content-Type says; `detail` says where.",
        way_out="Send the whole body, and name its type in Content-Type.",
    ),
    Kind(
        slug="invalid-parameter",
        status=400,
        title="A parameter is not valid",
        meaning="`parameter` names a parameter of the query or a field of the body, `value` what was sent.",
        way_out="Send what `allowed` lists.",
    ),
    Kind(
        slug="invalid-header",
        status=400,
        title="A header is not valid",
        meaning="`parameter` names the header, `value` what was sent.",
        way_out="Send what `allowed` lists.",
    ),
    Kind(
        slug="unauthorized",
        status=401,
        title="A valid token is needed",
        meaning="The request has no bearer token, or one that is unknown, revoked or expired.",
        way_out="Send `Authorization: Bearer TOKEN` with a token from `panopticon tokens add`.",
    ),
    Kind(
        slug="forbidden",
        status=403,
        title="The token does not allow this",
        meaning="The token is valid, and lacks the scope that `allowed` names.",
        way_out="Use a token that was made with this scope.",
    ),
    Kind(
        slug="not-found",
        status=404,
        title="Nothing is served at this path",
        meaning="The path is not part of the API.",
        way_out="Look the path up in /openapi.json.",
    ),
    Kind(
        slug="unknown-model",
        status=404,
        title="The model is not served",
        meaning="`value` names a model or version that this service does not run.",
        way_out="Choose from GET /v1/models.",
    ),
    Kind(
        slug="unknown-image",
        status=404,
        title="The image is not known",
        meaning="The store holds nothing about an image with this ID.",
        way_out="Check the ID; it is the one under which the image was submitted.",
    ),
    Kind(
        slug="method-not-allowed",
        status=405,
        title="The path does not take this method",
        meaning="The path exists, and takes only the methods in `allowed` and in the header Allow.",
        way_out="Use one of these methods.",
    ),
    Kind(
        slug="request-timeout",
        status=408,
        title="The request took too long to arrive",
        meaning="Headers or body were not complete in `header_timeout_s` or `body_timeout_s`.",
        way_out="Send it again over a better connection, or send a smaller image.",
    ),
    Kind(
        slug="conflict",
        status=409,
        title="The state does not allow this now",
        meaning="What was asked contradicts what is under way, such as unloading a version that still loads.",
        way_out="Look at GET /v1/models, and ask again once the state has changed.",
    ),
    Kind(
        slug="too-large",
        status=413,
        title="The body is too large",
        meaning="The body, or one image in it, has more bytes than `allowed`.",
        way_out="Send a smaller image, or raise `max_request_bytes` or `max_bytes` of the service.",
    ),
    Kind(
        slug="too-many-images",
        status=413,
        title="The request has too many images",
        meaning="One request holds at most `allowed` images.",
        way_out="Spread the images over several requests, or raise `max_parts` of the service.",
    ),
    Kind(
        slug="unsupported-media-type",
        status=415,
        title="The body has a type that is not read",
        meaning="Content-Type, or Content-Encoding, is none of `allowed`.",
        way_out="Send the bytes of an image, multipart/form-data, or JSON with URIs.",
    ),
    Kind(
        slug="rejected-image",
        status=422,
        title="The image will never be analyzed",
        meaning="`reason` says why: not an image, too large, the end of two model processes, for instance.",
        way_out="Do not send it again.",
    ),
    Kind(
        slug="gate-full",
        status=429,
        title="As many requests as are admitted are under way",
        meaning="The gate of a model, or of the service, is full; nothing was computed.",
        way_out="Send it again after Retry-After, or to another host.",
        retry_after_s=1.0,
    ),
    Kind(
        slug="headers-too-large",
        status=431,
        title="The headers are too large",
        meaning="Request line and headers have more bytes than `allowed`.",
        way_out="Send fewer or shorter headers, or raise `max_header_bytes` of the service.",
    ),
    Kind(
        slug="internal-error",
        status=500,
        title="The service has a bug",
        meaning="Something failed that should not; the log holds the traceback under `request_id`.",
        way_out="Report it with the `request_id`. The same request may fail again.",
    ),
    Kind(
        slug="not-implemented",
        status=501,
        title="The service does not do this",
        meaning="What was asked is known, and this service was started without it, or never does it.",
        way_out="`detail` says what would do it.",
    ),
    Kind(
        slug="source-failed",
        status=502,
        title="The original could not be fetched",
        meaning="The host that a URI names failed or was too slow; the image itself may be good.",
        way_out="Send it again later, or send the bytes.",
    ),
    Kind(
        slug="busy",
        status=503,
        title="The service has no connection left",
        meaning="`max_connections` connections are open.",
        way_out="Send it again after Retry-After, or to another host; close connections you do not need.",
        retry_after_s=1.0,
    ),
    Kind(
        slug="deadline",
        status=503,
        title="The answer would come too late",
        meaning="`X-Request-Timeout-Ms` or `request_timeout_s` ended before the models had answered.",
        way_out="Send it again after Retry-After, allow more time, or ask another host.",
        retry_after_s=1.0,
    ),
    Kind(
        slug="model-down",
        status=503,
        title="The model does not run now",
        meaning="Its process is starting, or has ended and is started again; the image is not to blame.",
        way_out="Send it again after Retry-After, or to another host.",
        retry_after_s=5.0,
    ),
    Kind(
        slug="store-down",
        status=503,
        title="Something that the service reads does not answer",
        meaning="`component` is what cannot be reached: the store, the search index, or the list of hosts.",
        way_out="Send it again after Retry-After.",
        retry_after_s=5.0,
    ),
)

CATALOGUE: Mapping[str, Kind] = MappingProxyType({kind.slug: kind for kind in _KINDS})
"""Every kind of problem by its slug, ordered by status."""
