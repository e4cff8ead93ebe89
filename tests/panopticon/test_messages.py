from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.messages import (
    EPOCH,
    MAX_DETAIL_CHARS,
    MAX_REVISION,
    ImageMessage,
    MessageInvalid,
    age_rank,
    decode_image_message,
    decode_result_message,
    encode,
    from_ms,
    json_schemas,
    to_ms,
)
from tests.panopticon import strategies
from tools.make_schema import SCHEMA_FILE, schema_text

MILLISECONDS = st.integers(
    to_ms(datetime(1, 1, 1, tzinfo=UTC)), to_ms(datetime(9999, 12, 31, tzinfo=UTC))
).filter(bool)

DECODERS: dict[str, Callable[[bytes], Any]] = {
    "ImageMessage": decode_image_message,
    "ResultMessage": decode_result_message,
}
EXAMPLES = re.findall(
    r"^```json ?([^\n]*)\n(.*?)^```$",
    (Path(__file__).parents[2] / "docs" / "wire-contract.md").read_text("utf-8"),
    re.MULTILINE | re.DOTALL,
)
RESULT = {
    "kind": "result",
    "image_id": "a",
    "revision": 4,
    "model": "tagger",
    "version": 1,
    "policy_number": 1,
}


def image_body(**fields: object) -> bytes:
    return json.dumps({"image_id": "a", **fields}).encode()


def refusal(decode: Callable[[bytes], object], body: bytes) -> str:
    with pytest.raises(MessageInvalid) as caught:
        decode(body)
    assert caught.value.body == body
    return str(caught.value)


def refused_body(decode: Callable[[bytes], object], body: bytes) -> bytes | None:
    try:
        decode(body)
    except MessageInvalid as refused:
        return refused.body
    return None


@given(strategies.image_messages)
def test_an_image_message_survives_the_wire(message: ImageMessage) -> None:
    assert decode_image_message(encode(message)) == message


@given(strategies.result_messages)
def test_a_result_message_of_any_kind_survives_the_wire(message: Any) -> None:
    assert decode_result_message(encode(message)) == message


@given(strategies.result_messages)
def test_every_result_message_says_its_schema(message: Any) -> None:
    assert json.loads(encode(message))["schema"] == 1


def test_an_id_is_a_whole_message() -> None:
    message = decode_image_message(b'{"image_id": "123"}')
    assert message == ImageMessage(
        image_id="123", image_uri=None, revision=0, event="uploaded", occurred_at=None, message_id=None
    )


def test_absent_fields_are_left_out_of_the_wire() -> None:
    assert json.loads(encode(ImageMessage(image_id="a"))) == {
        "image_id": "a",
        "revision": 0,
        "event": "uploaded",
    }


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | strategies.texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(strategies.texts, inner, max_size=3),
    max_leaves=8,
)


@given(strategies.image_messages, st.dictionaries(strategies.texts, _json_values, max_size=4))
def test_unknown_fields_are_ignored(message: ImageMessage, extra: dict[str, object]) -> None:
    unknown = {key: value for key, value in extra.items() if key not in ImageMessage.model_fields}
    body = json.dumps({**unknown, **json.loads(encode(message))}).encode()
    assert decode_image_message(body) == message


@given(st.binary(max_size=64))
def test_any_bytes_give_a_message_or_a_refusal_with_the_body(body: bytes) -> None:
    for decode in DECODERS.values():
        assert refused_body(decode, body) in {None, body}


@given(_json_values)
def test_any_json_gives_a_message_or_a_refusal_with_the_body(value: object) -> None:
    body = json.dumps(value).encode()
    for decode in DECODERS.values():
        assert refused_body(decode, body) in {None, body}


@pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS.keys())
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"a"',
        b"{}",
        b"\xff\xfe",
        b"\xef\xbb\xbf\xef\xbb\xbf" + image_body(),
        image_body().decode().encode("utf-16"),
        b"[" * 1_000_000,
        b'{"image_id":' * 100_000,
        b'{"image_id": "a", "revision": ' + b"9" * 1_000_000 + b"}",
        b'{"image_id": "\\ud800"}',
        b'{"image_id": "\xed\xa0\x80"}',
    ],
    ids=[
        "empty",
        "null",
        "array",
        "string",
        "no-fields",
        "not-utf-8",
        "two-byte-order-marks",
        "utf-16",
        "deep-arrays",
        "deep-objects",
        "huge-number",
        "lone-surrogate",
        "lone-surrogate-bytes",
    ],
)
def test_a_body_that_is_no_message_is_refused(decode: Callable[[bytes], object], body: bytes) -> None:
    assert refusal(decode, body)


@pytest.mark.parametrize("image_id", ["", "a" * 256, "é" * 128, "\0", "a\nb", "\x7f", "\x9f", "\u0085"])
def test_an_image_id_outside_its_rules_is_refused(image_id: str) -> None:
    assert refusal(decode_image_message, image_body(image_id=image_id)).startswith("image_id: ")


@pytest.mark.parametrize(
    "image_id", ["a" * 255, "é" * 127 + "a", "😀" * 63, "a b", "/", "\u200b", "../..", "a\xa0b"]
)
def test_an_image_id_within_its_rules_is_kept_as_it_is(image_id: str) -> None:
    assert decode_image_message(image_body(image_id=image_id)).image_id == image_id


@pytest.mark.parametrize("image_id", [" ", " a", "a ", "a\xa0", "\u3000a", "\ufeffa", "\u2028a"])
def test_an_id_from_outside_with_spaces_around_it_is_refused(image_id: str) -> None:
    assert (
        refusal(decode_image_message, image_body(image_id=image_id))
        == "image_id: must not begin or end with a space"
    )


def test_a_result_of_an_image_that_has_spaces_around_its_id_is_still_read() -> None:
    # An earlier release took such IDs.
    assert decode_result_message(json.dumps({**RESULT, "image_id": " a "}).encode())


@pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS.keys())
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_not_json_is_refused_even_in_an_unknown_field(
    decode: Callable[[bytes], object], number: str
) -> None:
    body = json.dumps(RESULT).encode().replace(b"{", b'{"unknown": %s, ' % number.encode(), 1)
    assert refusal(decode, body).startswith("Invalid JSON: ")


@pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS.keys())
def test_a_byte_order_mark_before_a_body_is_ignored(decode: Callable[[bytes], object]) -> None:
    body = json.dumps(RESULT).encode()
    assert decode(b"\xef\xbb\xbf" + body) == decode(body)


@pytest.mark.parametrize("image_id", [None, 123, 1.5, True, ["a"], {"a": 1}])
def test_an_image_id_that_is_no_string_is_refused(image_id: object) -> None:
    assert refusal(decode_image_message, image_body(image_id=image_id)).startswith("image_id: ")


@given(st.integers() | st.floats() | st.booleans() | st.text() | st.none())
def test_a_revision_is_an_integer_from_0_to_2_to_the_53(revision: object) -> None:
    whole = type(revision) is int or (isinstance(revision, float) and revision.is_integer())
    valid = whole and 0 <= revision < 2**53  # type: ignore[operator]
    body = image_body(revision=revision)
    if valid:
        assert decode_image_message(body).revision == revision
    else:
        refusal(decode_image_message, body)


@pytest.mark.parametrize("revision", [0, MAX_REVISION])
def test_both_ends_of_the_revisions_are_accepted(revision: int) -> None:
    assert decode_image_message(image_body(revision=revision)).revision == revision


@pytest.mark.parametrize(("revision", "value"), [("1.0", 1), ("1e3", 1000), ("-0", 0), ("-0.0", 0)])
def test_a_whole_number_may_be_written_in_any_way_of_json(revision: str, value: int) -> None:
    read = decode_image_message(b'{"image_id": "a", "revision": %s}' % revision.encode()).revision
    assert (read, type(read)) == (value, int)


@pytest.mark.parametrize(
    "revision", ["-1", "9007199254740992", "9007199254740992.0", "true", "1.5", "1e999", '"1"', "null"]
)
def test_a_revision_outside_its_rules_is_refused(revision: str) -> None:
    body = b'{"image_id": "a", "revision": %s}' % revision.encode()
    assert refusal(decode_image_message, body).startswith("revision: ")


@pytest.mark.parametrize("uri", ["", "a" * 4097, "file:///a\nb", "file:///a\0", 3])
def test_a_uri_outside_its_rules_is_refused(uri: object) -> None:
    assert refusal(decode_image_message, image_body(image_uri=uri)).startswith("image_uri: ")


def test_an_unknown_event_is_refused() -> None:
    assert refusal(decode_image_message, image_body(event="renamed")).startswith("event: ")


@pytest.mark.parametrize(
    "moment",
    [
        "2026-11-21T09:30:00",
        "2026-11-21",
        "2026-11-21 09:30:00Z",
        "2026-11-21T09:30Z",
        "2026-13-21T09:30:00Z",
        "2026-11-21T25:30:00Z",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
        "1795167000",
        1795167000,
        "٢٠٢٦-11-21T09:30:00Z",
        "now",
        "",
        "2026-02-29T09:30:00Z",
        "1900-02-29T09:30:00Z",
        "2026-04-31T09:30:00Z",
        "2016-12-31T23:59:60Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T09:30:00+24:00",
        "2026-11-21T09:30:00+05:60",
        "2026-11-21T09:30:00,5Z",
        "2026-11-21T09:30:00Z\n",
        "0000-06-01T00:00:00Z",
    ],
)
def test_a_timestamp_that_is_not_rfc_3339_with_its_zone_is_refused(moment: object) -> None:
    assert refusal(decode_image_message, image_body(occurred_at=moment)).startswith("occurred_at: ")


@pytest.mark.parametrize(
    "moment",
    [
        "2026-11-21T09:30:00Z",
        "2026-11-21t10:30:00+01:00",
        "2026-11-21T04:00:00.000000-05:30",
        "2026-11-21T09:30:00.000000000000z",
        "2026-11-22T09:29:00+23:59",
    ],
)
def test_a_timestamp_of_any_zone_goes_on_in_utc(moment: str) -> None:
    message = decode_image_message(image_body(occurred_at=moment))
    assert json.loads(encode(message))["occurred_at"] == "2026-11-21T09:30:00Z"


@given(strategies.moments)
def test_a_timestamp_is_written_as_rfc_3339(moment: datetime) -> None:
    written = json.loads(encode(ImageMessage(image_id="a", occurred_at=moment)))["occurred_at"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", written)


def test_a_naive_moment_makes_no_message() -> None:
    with pytest.raises(ValueError, match="occurred_at"):
        ImageMessage(image_id="a", occurred_at=datetime(2026, 1, 1))


@pytest.mark.parametrize(
    "moment", ["1969-12-31T23:59:59.999Z", "1826-07-01T00:00:00Z", "0001-01-01T00:00:00Z"]
)
def test_a_date_before_1970_is_a_date(moment: str) -> None:
    message = decode_image_message(image_body(occurred_at=moment))
    assert to_ms(message.occurred_at) < 0
    written = json.loads(encode(message))["occurred_at"]
    assert datetime.fromisoformat(written) == datetime.fromisoformat(moment)


def test_the_first_millisecond_of_1970_is_a_date_too() -> None:
    assert to_ms(EPOCH) == 1


@given(MILLISECONDS)
def test_an_unknown_moment_is_before_every_date(moment_ms: int) -> None:
    assert age_rank(0) < age_rank(moment_ms) == moment_ms


@given(MILLISECONDS)
def test_milliseconds_survive_the_way_through_a_moment(moment_ms: int) -> None:
    assert to_ms(from_ms(moment_ms)) == moment_ms


def test_no_moment_is_zero_milliseconds() -> None:
    assert (to_ms(None), from_ms(0)) == (0, None)


def test_milliseconds_are_rounded_down() -> None:
    moment = datetime(1970, 1, 1, 0, 0, 1, 1999, tzinfo=UTC)
    assert to_ms(moment.astimezone(timezone(timedelta(hours=3)))) == 1001


def test_of_a_key_given_twice_the_last_counts() -> None:
    assert decode_image_message(b'{"image_id": "a", "image_id": "b"}').image_id == "b"


@pytest.mark.parametrize(
    "fault",
    [
        {"schema": 2},
        {"schema": "1"},
        {"kind": "resulted"},
        {"model": "Tagger"},
        {"model": ""},
        {"version": 0},
        {"schema": True},
        {"version": 1.5},
        {"version": 2**31},
        {"policy_number": 0},
        {"policy_number": True},
        {"tags": [{"label": "cat", "probability": 1.01}]},
        {"tags": [{"label": "cat", "probability": -0.01}]},
        {"tags": [{"label": "cat", "probability": "0.5"}]},
        {"tags": [{"label": "cat", "probability": True}]},
        {"tags": [{"label": "cat", "probability": float("nan")}]},
        {"tags": [{"probability": 0.5}]},
        {"scores": {"sharpness": float("nan")}},
        {"scores": {"sharpness": float("inf")}},
        {"scores": {"sharpness": "1"}},
        {"scores": {"sharpness": None}},
    ],
    ids=str,
)
def test_a_result_with_one_fault_is_refused(fault: dict[str, object]) -> None:
    assert decode_result_message(json.dumps(RESULT).encode())
    assert refusal(decode_result_message, json.dumps({**RESULT, **fault}).encode())


@pytest.mark.parametrize("key", [key for key in RESULT if key != "schema"])
def test_a_result_without_one_of_its_fields_is_refused(key: str) -> None:
    body = json.dumps({field: value for field, value in RESULT.items() if field != key}).encode()
    assert refusal(decode_result_message, body)


def test_a_name_of_the_code_is_no_name_of_the_wire() -> None:
    body = {"kind": "deleted", "image_id": "a", "revision": 4, "schema_": 2}
    assert encode(decode_result_message(json.dumps(body).encode())).startswith(b'{"schema":1,')


def test_a_refusal_is_one_short_line_whatever_the_body_says() -> None:
    detail = refusal(decode_result_message, json.dumps({"kind": "a\nb\r" * 10_000}).encode())
    assert len(detail) <= MAX_DETAIL_CHARS
    assert detail.isprintable()


@pytest.mark.parametrize(("label", "body"), EXAMPLES)
def test_an_example_of_the_contract_is_what_it_says(label: str, body: str) -> None:
    refused, _, model = label.rpartition(" ")
    if refused:
        assert refused == "refused"
        refusal(DECODERS[model], body.encode())
    else:
        DECODERS[model](body.encode())


def test_the_contract_shows_every_kind_of_message() -> None:
    kinds = {json.loads(body).get("kind") for label, body in EXAMPLES if not label.startswith("refused")}
    assert kinds == {None, "result", "failed", "deleted", "model.activated", "model.deactivated"}


def test_the_schema_file_is_the_schema_of_the_code() -> None:
    assert SCHEMA_FILE.read_text("utf-8") == schema_text(), "run: make docs"


def test_the_schema_states_the_rules_of_an_image() -> None:
    image = json_schemas()["$defs"]["ImageMessage"]
    assert image["required"] == ["image_id"]
    assert image["properties"]["revision"]["maximum"] == MAX_REVISION


def test_the_schema_tells_results_apart_by_kind() -> None:
    mapping = json_schemas()["$defs"]["ResultMessage"]["discriminator"]["mapping"]
    assert sorted(mapping) == ["deleted", "failed", "model.activated", "model.deactivated", "result"]
