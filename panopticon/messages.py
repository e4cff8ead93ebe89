"""The wire contract: the JSON messages that upload services send and that search indexers receive.

`make docs` writes the JSON Schema of these models to `docs/wire-contract.schema.json`.
"""

from __future__ import annotations

import math
import re
import sys
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, from_json

MAX_REVISION = 2**53 - 1
"""The greatest integer that every JSON reader can represent exactly."""

MAX_COUNT = 2**31 - 1
"""The greatest version or policy number: every store keeps them in a signed 32-bit integer."""

MAX_IMAGE_ID_BYTES = 255

MAX_DETAIL_CHARS = 300
"""The longest description of what is wrong with a message; its body is kept separately."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

UTF_8_BOM = b"\xef\xbb\xbf"
"""The byte-order mark that some programs put in front of a text in UTF-8."""

_SPACE_CLASS = r"[ \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]"
"""The characters that separate words in any script, and the byte-order mark."""
_OUTER_SPACES = f"^{_SPACE_CLASS}+|{_SPACE_CLASS}+$"
_OUTER = re.compile(_OUTER_SPACES)

_CONTROL_CLASS = r"[\u0000-\u001f\u007f-\u009f]"
_CONTROL = re.compile(_CONTROL_CLASS)
_MODEL_NAME = "^[a-z][a-z0-9]{0,31}$"
_DATE = (
    "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
)
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
_ZONE = "(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
_RFC_3339 = re.compile(f"^{_DATE}[Tt]{_TIME}{_ZONE}$")
_OUTSIDE_YEARS = ("^0000", r"^0001-01-01.*\+", "^9999-12-31[Tt].*-")
"""Patterns of timestamps that UTC may put into the year 0 or 10000, which no `datetime` can hold."""


class Lane(StrEnum):
    """The two priorities of a message: fresh uploads are `live`, and a `backfill` never delays them."""

    LIVE = "live"
    BACKFILL = "backfill"


class MessageInvalid(ValueError):  # noqa: N818
    """The error of a malformed message. It carries the body, which can then be kept as a dead letter."""

    def __init__(self, detail: str, body: bytes) -> None:
        super().__init__(detail)
        self.body = body


def _check_no_control(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("must not contain control characters")
    return value


def _check_length(value: str) -> str:
    length_bytes = len(value.encode())
    if length_bytes > MAX_IMAGE_ID_BYTES:
        raise ValueError(f"must have 1 to {MAX_IMAGE_ID_BYTES} bytes of UTF-8, not {length_bytes}")
    return value


def _check_rfc_3339(value: object) -> object:
    if isinstance(value, datetime):
        return value
    if isinstance(value, str) and _RFC_3339.fullmatch(value):
        if any(re.search(pattern, value) for pattern in _OUTSIDE_YEARS):
            raise ValueError("must lie in the years 1 to 9999 of UTC")
        return value
    raise ValueError("must be an RFC 3339 timestamp with its zone, such as 2026-11-21T09:30:00Z")


def _check_range(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie in the years 1 to 9999 of UTC") from None


def _whole(value: object) -> object:
    """Return 3 for 3.0: JSON Schema takes both for an integer, and some programs write the second."""
    # To Python, True equals 1.
    if isinstance(value, bool):
        raise ValueError("must be an integer")
    return int(value) if isinstance(value, float) and value.is_integer() else value


# A pattern that has to match would end in `$`, before which some validators let a line feed pass.
_NO_CONTROL: JsonSchemaValue = {"not": {"pattern": _CONTROL_CLASS}}
_ID_RULES: JsonSchemaValue = {
    "not": {
        "anyOf": [
            {"pattern": _CONTROL_CLASS},
            # No validator counts bytes by itself; these find the long IDs that are all of one script.
            {"pattern": r"^(?:[\u0000-\u007f]*[^\u0000-\u007f]){128}"},
            {"pattern": r"^(?:[\u0000-\u07ff]*[^\u0000-\u07ff]){86}"},
            {"pattern": r"^(?:[\u0000-\uffff]*[^\u0000-\uffff]){64}"},
        ]
    },
    "x-maxBytes": MAX_IMAGE_ID_BYTES,
}
_FINITE: JsonSchemaValue = {"minimum": -sys.float_info.max, "maximum": sys.float_info.max}

ImageId = Annotated[
    str,
    Field(min_length=1, max_length=MAX_IMAGE_ID_BYTES, json_schema_extra=_ID_RULES),
    AfterValidator(_check_no_control),
    AfterValidator(_check_length),
]
ImageUri = Annotated[
    str,
    Field(min_length=1, max_length=4096, json_schema_extra=_NO_CONTROL),
    AfterValidator(_check_no_control),
]
Moment = Annotated[AwareDatetime, BeforeValidator(_check_rfc_3339), AfterValidator(_check_range)]
Revision = Annotated[int, Field(ge=0, le=MAX_REVISION, strict=True), BeforeValidator(_whole)]
Count = Annotated[int, Field(ge=1, le=MAX_COUNT, strict=True), BeforeValidator(_whole)]
SchemaNumber = Annotated[Literal[1], BeforeValidator(_whole)]
ModelName = Annotated[str, Field(pattern=_MODEL_NAME, json_schema_extra={"not": {"pattern": "[^a-z0-9]"}})]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]
Score = Annotated[float, Field(allow_inf_nan=False, strict=True, json_schema_extra=_FINITE)]


class _Wire(BaseModel):
    # Values seldom repeat: a cache of them would be the only memory of a worker that keeps growing.
    model_config = ConfigDict(frozen=True, extra="ignore", cache_strings="keys")


class ImageMessage(_Wire):
    """A message from an upload service: an image was uploaded, was changed, or was deleted.

    The smallest message is `{"image_id": "123"}`. Unknown fields are ignored.
    """

    image_id: Annotated[ImageId, Field(json_schema_extra={"allOf": [{"not": {"pattern": _OUTER_SPACES}}]})]
    image_uri: ImageUri | None = None
    """The URI of the original; without it, the URI is made from the ID by the setting `originals`."""
    revision: Revision = 0
    """A number that the upload service increases whenever it changes or deletes the image."""
    event: Literal["uploaded", "deleted"] = "uploaded"
    occurred_at: Moment | None = None
    message_id: Annotated[str, Field(max_length=255)] | None = None


class Tag(_Wire):
    """A label that the policy kept, and the broader terms that find the image too."""

    label: str
    probability: Probability
    ancestors: tuple[str, ...] = ()


class _ModelResult(_Wire):
    schema_: SchemaNumber = Field(default=1, alias="schema")
    image_id: ImageId
    revision: Revision
    occurred_at: Moment | None = None
    model: ModelName
    version: Count

    model_config = ConfigDict(frozen=True, extra="ignore", cache_strings="keys", populate_by_name=True)


class ResultPublished(_ModelResult):
    """The part of a search document that one model version contributes.

    The policy makes it from the stored output vector.
    """

    kind: Literal["result"] = "result"
    policy_number: Count
    tags: tuple[Tag, ...] = ()
    scores: dict[str, Score] = Field(default_factory=dict)


class FailedPublished(_ModelResult):
    """A notice that one model version will never have an output for this revision."""

    kind: Literal["failed"] = "failed"
    reason: str


class DeletedPublished(_Wire):
    """A notice that the image was deleted: its search document becomes a tombstone."""

    model_config = ConfigDict(frozen=True, extra="ignore", cache_strings="keys", populate_by_name=True)

    schema_: SchemaNumber = Field(default=1, alias="schema")
    kind: Literal["deleted"] = "deleted"
    image_id: ImageId
    revision: Revision
    occurred_at: Moment | None = None


class ModelActivated(_Wire):
    """A notice of the version of a model that queries use. It may be repeated, and arrive in any order."""

    model_config = ConfigDict(frozen=True, extra="ignore", cache_strings="keys", populate_by_name=True)

    schema_: SchemaNumber = Field(default=1, alias="schema")
    kind: Literal["model.activated"] = "model.activated"
    model: ModelName
    serial: Count | None = None
    """The number of the registry's record that has this version, higher after each change of the record; None
    in messages of release 0.1."""
    version: Count
    former_version: Count | None = None
    activated_at: Moment
    activated_by: str
    reason: str = ""


class ModelDeactivated(_Wire):
    """A notice that queries use no version of a model."""

    model_config = ConfigDict(frozen=True, extra="ignore", cache_strings="keys", populate_by_name=True)

    schema_: SchemaNumber = Field(default=1, alias="schema")
    kind: Literal["model.deactivated"] = "model.deactivated"
    model: ModelName
    serial: Count
    """The number of the registry's record that has no active version, as in `ModelActivated`."""
    former_version: Count | None = None
    deactivated_at: Moment
    deactivated_by: str
    reason: str = ""


ImageResult = ResultPublished | FailedPublished | DeletedPublished
"""A message about one image."""

ModelNotice = ModelActivated | ModelDeactivated
"""A message about the active version of a model."""

ResultMessage = Annotated[ImageResult | ModelNotice, Field(discriminator="kind")]

_RESULT_ADAPTER: TypeAdapter[ImageResult | ModelNotice] = TypeAdapter(ResultMessage)


def decode_image_message(body: bytes) -> ImageMessage:
    """Parse one message from an upload service. Raises: MessageInvalid, which carries the body."""
    try:
        message = ImageMessage.model_validate_json(_strict_json(body))
    except ValidationError as error:
        raise MessageInvalid(_first_fault(error), body) from None
    # Only messages from outside are refused: an earlier release may have stored such an ID.
    if _OUTER.search(message.image_id):
        raise MessageInvalid("image_id: must not begin or end with a space", body)
    return message


def decode_result_message(body: bytes) -> ImageResult | ModelNotice:
    """Parse one message for search indexers. Raises: MessageInvalid, which carries the body."""
    try:
        return _RESULT_ADAPTER.validate_json(_strict_json(body), by_alias=True, by_name=False)
    except ValidationError as error:
        raise MessageInvalid(_first_fault(error), body) from None


def _strict_json(body: bytes) -> bytes:
    """Return the JSON text of a body. Raises: MessageInvalid, also for NaN and infinity in any field."""
    text = body.removeprefix(UTF_8_BOM)
    try:
        # pydantic takes NaN and Infinity for numbers where it ignores a field, and JSON has neither.
        from_json(text, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise MessageInvalid(f"Invalid JSON: {error}", body) from None
    return text


def trimmed(image_id: str) -> str:
    """Return an ID as lists have it, without the spaces around it."""
    return _OUTER.sub("", image_id)


def encode(message: BaseModel) -> bytes:
    """Return a message as compact JSON in UTF-8, without the fields that are None."""
    return message.model_dump_json(by_alias=True, exclude_none=True).encode()


class _WireSchema(GenerateJsonSchema):
    """A JSON Schema whose timestamps are as strict as the code, for validators that skip formats too."""

    def datetime_schema(self, schema: CoreSchema) -> JsonSchemaValue:  # noqa: ARG002
        excluded = [{"pattern": pattern} for pattern in (r"\n", *_OUTSIDE_YEARS)]
        return {
            "type": "string",
            "format": "date-time",
            "pattern": _RFC_3339.pattern,
            "not": {"anyOf": excluded},
        }


def json_schemas() -> dict[str, Any]:
    """Return a JSON Schema document (draft 2020-12) with ImageMessage and ResultMessage in its `$defs`."""
    adapters: list[tuple[str, Literal["validation"], TypeAdapter[Any]]] = [
        ("ImageMessage", "validation", TypeAdapter(ImageMessage)),
        ("ResultMessage", "validation", _RESULT_ADAPTER),
    ]
    sides, document = TypeAdapter.json_schemas(
        adapters, title="The wire contract of Panopticon", schema_generator=_WireSchema
    )
    union = {"required": ["kind"], **sides["ResultMessage", "validation"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": document["title"],
        "$defs": {**document["$defs"], "ResultMessage": union},
    }


def to_ms(moment: datetime | None) -> int:
    """Return whole milliseconds since 1970 UTC, rounded down, negative before 1970; 0 for None.

    0 is the mark of an unknown moment in every store, so the first millisecond of 1970 becomes 1.
    """
    return 0 if moment is None else (moment - EPOCH) // timedelta(milliseconds=1) or 1


def from_ms(moment_ms: int) -> datetime | None:
    """Return the moment that `to_ms` converted, in whole milliseconds; None for 0."""
    return EPOCH + timedelta(milliseconds=moment_ms) if moment_ms else None


def rfc_3339(moment_ms: int) -> str | None:
    """Return a moment such as `2026-11-21T09:30:00.000Z`, or None if it is not known."""
    moment = from_ms(moment_ms)
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def age_rank(moment_ms: int) -> float:
    """Return the number by which moments are compared: an unknown one is before every date."""
    return moment_ms or -math.inf


def _first_fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(step) for step in first["loc"])
    what = first["msg"].removeprefix("Value error, ")
    return " ".join(f"{where}: {what}".removeprefix(": ").split())[:MAX_DETAIL_CHARS]
