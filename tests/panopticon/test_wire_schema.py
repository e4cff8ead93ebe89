"""The JSON Schema of the wire contract and the code give the same answer to each of these messages.

A message is first read by a strict reader of JSON, as docs/wire-contract.md describes it, and then validated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
from check_jsonschema.formats.implementations import validate_rfc3339
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.validators import extend

from panopticon.messages import (
    ImageMessage,
    MessageInvalid,
    decode_image_message,
    decode_result_message,
    encode,
    json_schemas,
)
from tests.panopticon import strategies
from tools.make_schema import SCHEMA_FILE

MAX_DEPTH = 200
MAX_DIGITS = 4300


def number_of_bytes(_validator: Any, limit: int, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """Check `x-maxBytes`, as the page on the wire contract defines it."""
    if isinstance(instance, str) and len(instance.encode("utf-8", "surrogatepass")) > limit:
        yield ValidationError(f"more than {limit} bytes")


FORMATS = FormatChecker(formats=())
FORMATS.checks("date-time")(validate_rfc3339)
Knowing = extend(Draft202012Validator, {"x-maxBytes": number_of_bytes})


def schema_of(kind: str) -> dict[str, Any]:
    schema = json.loads(SCHEMA_FILE.read_text("utf-8"))
    return {"$schema": schema["$schema"], "$ref": f"#/$defs/{kind}", "$defs": schema["$defs"]}


PLAIN = {kind: Draft202012Validator(schema_of(kind)) for kind in ("ImageMessage", "ResultMessage")}
STRICT = {kind: Knowing(schema_of(kind), format_checker=FORMATS) for kind in PLAIN}
DECODERS = {"ImageMessage": decode_image_message, "ResultMessage": decode_result_message}


def strictly_read(body: bytes) -> Any:
    """Return the value of a JSON text. Raises: ValueError if it is not RFC 8259 in UTF-8."""
    try:
        value = json.loads(body.decode("utf-8-sig"), parse_constant=refuse, parse_int=number)
    except RecursionError:
        raise ValueError("too deep") from None
    # Half of a surrogate pair is not a character.
    json.dumps(value, ensure_ascii=False).encode()
    if depth(value) > MAX_DEPTH:
        raise ValueError("too deep")
    return value


def refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def number(digits: str) -> int | float:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise ValueError("too many digits")
    return int(digits) if len(digits) < 400 else float(digits)


def depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level:
        level = [inner for each in level if isinstance(each, list | dict) for inner in inside(each)]
        deepest += bool(level)
    return deepest


def inside(value: list[Any] | dict[str, Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def accepted_by_schema(kind: str, body: bytes, *, plain: bool = False) -> bool:
    try:
        value = strictly_read(body)
    except ValueError:
        return False
    valid: bool = (PLAIN if plain else STRICT)[kind].is_valid(value)
    return valid


def accepted_by_code(kind: str, body: bytes) -> bool:
    try:
        DECODERS[kind](body)
    except MessageInvalid:
        return False
    return True


def image(**fields: object) -> bytes:
    return json.dumps({"image_id": "a", **fields}, ensure_ascii=False).encode()


def raw(field: str, value: str) -> bytes:
    """Return a message with one field as it is written."""
    return b'{"image_id": "a", "%s": %s}' % (field.encode(), value.encode())


RESULT: dict[str, object] = {
    "kind": "result",
    "image_id": "a",
    "revision": 4,
    "model": "tagger",
    "version": 1,
    "policy_number": 1,
}


def result(**fields: object) -> bytes:
    return json.dumps({**RESULT, **fields}, ensure_ascii=False).encode()


def without(field: str) -> bytes:
    return json.dumps({name: value for name, value in RESULT.items() if name != field}).encode()


def raw_result(field: str, value: str) -> bytes:
    return json.dumps(RESULT).encode().replace(b"{", b'{"%s": %s, ' % (field.encode(), value.encode()), 1)


def at(moment: object) -> bytes:
    return image(occurred_at=moment)


MIXED = "é" * 100 + "写" * 19
"""119 characters of 257 bytes, too few of each kind for a plain validator to notice."""

IMAGE_MESSAGES = {
    # Accepted.
    "the smallest": (True, image()),
    "a byte-order mark": (True, b"\xef\xbb\xbf" + image()),
    "white space around": (True, b" \r\n\t" + image() + b"\n"),
    "unknown fields": (True, image(colour="red", nested={"a": [1, 2, {}]})),
    "an unknown field of 200 levels": (True, raw("x", "[" * 198 + "{}" + "]" * 198)),
    "a huge number in an unknown field": (True, raw("x", "1e999")),
    "a whole number of 4300 digits in an unknown field": (True, raw("x", "-" + "9" * 4300)),
    "a fraction of more digits in an unknown field": (True, raw("x", "0." + "9" * 4301)),
    "a key twice": (True, b'{"image_id": 1, "image_id": "a"}'),
    "an ID of 255 letters": (True, image(image_id="a" * 255)),
    "an ID of 255 bytes": (True, image(image_id="é" * 127 + "a")),
    "an ID of 63 cats": (True, image(image_id="🐱" * 63 + "abc")),
    "an ID with a space inside": (True, image(image_id="a b")),
    "an ID with a mark of direction": (True, image(image_id="a\u202eb")),
    "an ID with a line separator inside": (True, image(image_id="a\u2028b")),
    "an ID of a zero-width space": (True, image(image_id="\u200b")),
    "an ID in escapes": (True, b'{"image_id": "\\ud83d\\ude00"}'),
    "no URI": (True, image(image_uri=None)),
    "a URI of 4096 characters": (True, image(image_uri="é" * 4096)),
    "a URI with a space": (True, image(image_uri="file:///with space.jpg")),
    "the greatest revision": (True, image(revision=2**53 - 1)),
    "revision 1.0": (True, raw("revision", "1.0")),
    "revision 1e3": (True, raw("revision", "1e3")),
    "revision -0": (True, raw("revision", "-0")),
    "revision -0.0": (True, raw("revision", "-0.0")),
    "deleted": (True, image(event="deleted")),
    "an unknown time": (True, at(None)),
    "a time in UTC": (True, at("2026-11-21T09:30:00Z")),
    "a time in lower case": (True, at("2026-11-21t09:30:00z")),
    "a time in India": (True, at("2026-11-21T09:30:00+05:30")),
    "a time with the widest offset": (True, at("2026-11-21T09:30:00-23:59")),
    "a time of unknown zone": (True, at("2026-11-21T09:30:00-00:00")),
    "a time with nanoseconds": (True, at("2026-11-21T09:30:00.123456789Z")),
    "a time with 30 digits": (True, at("2026-11-21T09:30:00." + "1" * 30 + "Z")),
    "a leap day": (True, at("2000-02-29T00:00:00Z")),
    "before 1970": (True, at("1969-12-31T23:59:59Z")),
    "the first moment": (True, at("0001-01-01T00:00:00Z")),
    "the first moment in the west": (True, at("0001-01-01T00:00:00-01:00")),
    "the last moment": (True, at("9999-12-31T23:59:59.999999Z")),
    "the last moment in the east": (True, at("9999-12-31T23:59:59+01:00")),
    "no message ID": (True, image(message_id=None)),
    "an empty message ID": (True, image(message_id="")),
    "a message ID of 255 characters": (True, image(message_id="é" * 255)),
    # Not JSON, or not an object.
    "nothing": (False, b""),
    "null": (False, b"null"),
    "an array": (False, b'[{"image_id": "a"}]'),
    "a string": (False, b'"a"'),
    "two messages": (False, image() + b" " + image()),
    "a trailing comma": (False, b'{"image_id": "a",}'),
    "single quotes": (False, b"{'image_id': 'a'}"),
    "a comment": (False, b'{"image_id": "a"} // a'),
    "Latin-1": (False, '{"image_id": "é"}'.encode("latin-1")),
    "UTF-16": (False, '{"image_id": "a"}'.encode("utf-16")),
    "NaN": (False, raw("x", "NaN")),
    "a whole number of 4301 digits in an unknown field": (False, raw("x", "9" * 4301)),
    "infinity": (False, raw("x", "Infinity")),
    "minus infinity deep inside": (False, raw("x", '[{"y": -Infinity}]')),
    "a leading zero": (False, raw("x", "01")),
    "a line feed in a string": (False, raw("x", '"a\nb"')),
    "half a surrogate pair": (False, b'{"image_id": "j\\ud800"}'),
    "half a surrogate pair in an unknown field": (False, raw("x", '"\\udc00"')),
    "an unknown field of 202 levels": (False, raw("x", "[" * 201 + "]" * 201)),
    "100,000 levels": (False, raw("x", "[" * 100_000 + "]" * 100_000)),
    # IDs and URIs.
    "no ID": (False, b'{"revision": 1}'),
    "an ID of null": (False, image(image_id=None)),
    "an ID of a number": (False, image(image_id=123)),
    "an empty ID": (False, image(image_id="")),
    "an ID of a space": (False, image(image_id=" ")),
    "an ID after a space": (False, image(image_id=" a")),
    "an ID before a no-break space": (False, image(image_id="a\u00a0")),
    "an ID after a byte-order mark": (False, image(image_id="\ufeffa")),
    "an ID with a line feed": (False, image(image_id="a\n")),
    "an ID with a C1 control": (False, image(image_id="a\u0085b")),
    "an ID of 256 letters": (False, image(image_id="a" * 256)),
    "an ID of 128 two-byte letters": (False, image(image_id="é" * 128)),
    "an ID of 86 three-byte letters": (False, image(image_id="写" * 86)),
    "an ID of 64 cats": (False, image(image_id="🐱" * 64)),
    "an ID of 257 bytes in 119 letters": (False, image(image_id=MIXED)),
    "an empty URI": (False, image(image_uri="")),
    "a URI of 4097 characters": (False, image(image_uri="x" * 4097)),
    "a URI with a line feed": (False, image(image_uri="file:///a\n")),
    # Numbers and words.
    "revision null": (False, image(revision=None)),
    "revision true": (False, image(revision=True)),
    "revision in quotes": (False, image(revision="1")),
    "revision 1.5": (False, raw("revision", "1.5")),
    "revision -1": (False, image(revision=-1)),
    "revision 2^53": (False, image(revision=2**53)),
    "revision 2^53 as a fraction": (False, raw("revision", "9007199254740992.0")),
    "revision 1e999": (False, raw("revision", "1e999")),
    "a revision of 5000 digits": (False, raw("revision", "9" * 5000)),
    "event null": (False, image(event=None)),
    "an event with a capital": (False, image(event="Deleted")),
    "an unknown event": (False, image(event="updated")),
    "a message ID of 256 characters": (False, image(message_id="m" * 256)),
    "a message ID of a number": (False, image(message_id=7)),
    # Times.
    "a time without a zone": (False, at("2026-11-21T09:30:00")),
    "a time with a space": (False, at("2026-11-21 09:30:00Z")),
    "a time without seconds": (False, at("2026-11-21T09:30Z")),
    "a time with a comma": (False, at("2026-11-21T09:30:00,5Z")),
    "a time without its fraction": (False, at("2026-11-21T09:30:00.Z")),
    "a time before a line feed": (False, at("2026-11-21T09:30:00Z\n")),
    "a time in Arabic digits": (False, at("٢٠٢٦-11-21T09:30:00Z")),
    "a leap second": (False, at("2016-12-31T23:59:60Z")),
    "24:00": (False, at("2026-11-21T24:00:00Z")),
    "an offset of 24 h": (False, at("2026-11-21T09:30:00+24:00")),
    "an offset without its colon": (False, at("2026-11-21T09:30:00+0530")),
    "30 February": (False, at("2026-02-30T00:00:00Z")),
    "29 February 1900": (False, at("1900-02-29T00:00:00Z")),
    "month 13": (False, at("2026-13-01T00:00:00Z")),
    "a date": (False, at("2026-11-21")),
    "a week": (False, at("2026-W47-6T00:00:00Z")),
    "the basic format": (False, at("20261121T093000Z")),
    "seconds since 1970": (False, at(1700000000)),
    "seconds since 1970 in quotes": (False, at("1700000000")),
    "the year 0": (False, at("0000-06-01T00:00:00Z")),
    "the year 0 in UTC": (False, at("0001-01-01T00:00:00+01:00")),
    "the year 10000 in UTC": (False, at("9999-12-31T23:59:59-05:00")),
}

RESULT_MESSAGES = {
    "a result": (True, result()),
    "a whole version in another form": (True, raw_result("schema", "1.0")),
    "tags": (True, result(tags=[{"label": "cat", "probability": 1, "ancestors": ["animal"]}])),
    "scores": (True, result(scores={"sharpness": -1.5e300, "": 3})),
    "a former ID with spaces": (True, result(image_id=" a ")),
    "a delete": (True, json.dumps({"kind": "deleted", "image_id": "a", "revision": 1}).encode()),
    "no kind": (False, without("kind")),
    "no model": (False, without("model")),
    "no policy": (False, without("policy_number")),
    "an unknown kind": (False, result(kind="resulted")),
    "schema 2": (False, result(schema=2)),
    "schema true": (False, result(schema=True)),
    "schema in quotes": (False, result(schema="1")),
    "version 0": (False, result(version=0)),
    "version 2^31": (False, result(version=2**31)),
    "version true": (False, result(version=True)),
    "version 1.5": (False, result(version=1.5)),
    "a model with a capital": (False, result(model="Tagger")),
    "a model before a line feed": (False, result(model="tagger\n")),
    "a model of 33 letters": (False, result(model="a" * 33)),
    "a probability above 1": (False, result(tags=[{"label": "cat", "probability": 1.01}])),
    "a probability of true": (False, result(tags=[{"label": "cat", "probability": True}])),
    "a tag of a number": (False, result(tags=[3])),
    "tags of null": (False, result(tags=None)),
    "ancestors in one string": (
        False,
        result(tags=[{"label": "cat", "probability": 0.5, "ancestors": "animal"}]),
    ),
    "a score of NaN": (False, raw_result("scores", '{"sharpness": NaN}')),
    "a score of 1e999": (False, raw_result("scores", '{"sharpness": 1e999}')),
    "a score of 400 digits": (False, raw_result("scores", '{"sharpness": %s}' % ("9" * 400))),
    "a score of null": (False, result(scores={"sharpness": None})),
}

MESSAGES = [
    pytest.param(kind, expected, body, id=f"{kind}: {name}")
    for kind, messages in {"ImageMessage": IMAGE_MESSAGES, "ResultMessage": RESULT_MESSAGES}.items()
    for name, (expected, body) in messages.items()
]


@pytest.mark.parametrize(("kind", "expected", "body"), MESSAGES)
def test_schema_and_code_give_the_same_answer(kind: str, expected: bool, body: bytes) -> None:
    assert (accepted_by_schema(kind, body), accepted_by_code(kind, body)) == (expected, expected)


@pytest.mark.parametrize(("kind", "expected", "body"), MESSAGES)
def test_a_validator_that_knows_neither_formats_nor_bytes_misses_only_mixed_scripts(
    kind: str, expected: bool, body: bytes
) -> None:
    assert accepted_by_schema(kind, body, plain=True) == (expected or MIXED in body.decode(errors="replace"))


def test_more_than_a_hundred_messages_are_compared() -> None:
    assert len(MESSAGES) >= 107


@given(strategies.image_messages)
def test_every_message_that_the_code_sends_is_valid(message: ImageMessage) -> None:
    assert accepted_by_schema("ImageMessage", encode(message))


@given(strategies.result_messages)
def test_every_result_that_the_code_sends_is_valid(message: Any) -> None:
    assert accepted_by_schema("ResultMessage", encode(message))


@given(st.text(max_size=3), st.integers(0, 90), st.integers(0, 90), st.integers(0, 70))
def test_the_rules_of_an_id_are_the_same_for_any_text(text: str, two: int, three: int, four: int) -> None:
    body = json.dumps({"image_id": text + "é" * two + "写" * three + "🐱" * four}).encode()
    assert accepted_by_schema("ImageMessage", body) == accepted_by_code("ImageMessage", body)


@given(st.integers() | st.floats(allow_nan=False) | st.booleans() | st.text(max_size=2) | st.none())
def test_the_rules_of_a_number_are_the_same_for_any_value(value: object) -> None:
    body = json.dumps({"image_id": "a", "revision": value}).replace("Infinity", "1e999").encode()
    assert accepted_by_schema("ImageMessage", body) == accepted_by_code("ImageMessage", body)


def test_the_schema_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(json_schemas())
