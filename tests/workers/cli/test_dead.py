"""`panopticon dead`: failures are listed, shown, replayed or discarded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from panopticon.messages import Lane
from panopticon.results.outputs import Failure, FailureState, VersionName
from panopticon.results.undeliverable import NO_VERSION
from tests.contracts.examples import A_DAY_MS, NOON_MS, QUALITY, TAGGER, failure, key, retrying
from tests.house import House
from tests.workers.cli.conftest import Panopticon, Ran


def dead(
    image_id: str, *, version: VersionName = TAGGER, reason: str = "corrupt", days_ago: int = 0
) -> Failure:
    """A failure with a message that can be sent again."""
    kept = failure(key(image_id, version=version), reason=reason, last_at_ms=NOON_MS - days_ago * A_DAY_MS)
    uri = f"file:///photos/{image_id}.jpg"
    return replace(kept, message=f'{{"image_id": "{image_id}", "image_uri": "{uri}"}}'.encode())


@pytest.fixture(autouse=True)
def failures(house: House) -> None:
    house.register()
    house.store.outputs.put_failures(
        [
            dead("a"),
            dead("b", reason="not_found", days_ago=1),
            dead("c", version=QUALITY),
            replace(dead("d"), state=FailureState.REPLAYED),
            replace(failure(key("message-1", version=NO_VERSION)), message=b"\xffno message"),
        ]
    )


def ids(ran: Ran) -> list[str]:
    assert ran.code == 0, ran
    return [kept["image_id"] for kept in ran.json["failures"]]


def states(house: House) -> dict[str, str]:
    everyone = house.store.outputs.failures_of(["a", "b", "c", "d", "message-1"])
    return {kept.key.image_id: kept.state.value for kept in everyone}


class TestList:
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ((), ["c", "a", "b", "message-1"]),
            (("--model", "tagger@1"), ["a", "b"]),
            (("--model", "catalogue@1"), ["message-1"]),
            (("--day", "2026-11-20"), ["b"]),
            (("--reason", "corrupt", "--model", "tagger@1"), ["a"]),
            (("--state", "replayed"), ["d"]),
            (("--reason", "timeout"), []),
        ],
    )
    def test_failures_are_chosen_by_version_day_reason_and_state(
        self, panopticon: Panopticon, arguments: tuple[str, ...], expected: list[str]
    ) -> None:
        assert ids(panopticon("dead", "list", "--json", *arguments)) == expected

    def test_an_image_on_a_retry_delay_is_not_listed_and_has_no_failure_yet(
        self, panopticon: Panopticon, house: House
    ) -> None:
        house.store.outputs.put_failures([retrying(key("waits"))])
        assert ids(panopticon("dead", "list", "--json")) == ["c", "a", "b", "message-1"]
        assert "'retrying' is not one of" in panopticon("dead", "list", "--state", "retrying").err
        assert panopticon("dead", "show", "waits").complaint.startswith("image 'waits' has no failure")
        assert panopticon("dead", "replay", "waits").out.startswith("0 failures sent back")

    def test_a_list_that_is_cut_reports_that_there_are_more(self, panopticon: Panopticon) -> None:
        ran = panopticon("dead", "list", "--json", "--limit", "3")
        assert (len(ids(ran)), ran.json["more"]) == (3, True)
        assert panopticon("dead", "list", "--json", "--limit", "4").json["more"] is False

    def test_people_see_time_version_reason_id_path_and_a_summary(self, panopticon: Panopticon) -> None:
        shown = panopticon("dead", "list").out
        assert ["2026-11-21", "12:00:00", "tagger@1", "corrupt", "a", "/photos/a.jpg"] in [
            line.split()[:6] for line in shown.splitlines()
        ]
        assert "4 failures: 3 corrupt, 1 not_found" in shown

    def test_an_empty_list_is_reported(self, panopticon: Panopticon) -> None:
        assert panopticon("dead", "list", "--reason", "timeout").out == "No failures in state dead.\n"
        assert panopticon("dead", "list", "--reason", "http_503").out == "No failures in state dead.\n"

    @pytest.mark.parametrize("command", [("list",), ("replay",), ("discard", "--yes")])
    def test_a_reason_that_nothing_has_is_a_mistake(
        self, panopticon: Panopticon, command: tuple[str, ...]
    ) -> None:
        assert panopticon("dead", *command, "--reason", "not_fuond").complaint == (
            "--reason is 'not_fuond', which no failure has; near it: 'not_found'; "
            "failures have: corrupt, not_found"
        )

    def test_a_reason_that_only_the_program_knows_is_named_like_one_that_a_failure_has(
        self, panopticon: Panopticon
    ) -> None:
        complaint = panopticon("dead", "list", "--reason", "trunkated").complaint
        assert "; near it: 'truncated'; " in complaint

    def test_a_reason_that_a_plug_in_added_is_known_by_its_failures(
        self, panopticon: Panopticon, house: House
    ) -> None:
        house.store.outputs.put_failures([dead("e", reason="too_blue")])
        assert ids(panopticon("dead", "list", "--json", "--reason", "too_blue")) == ["e"]

    @pytest.mark.parametrize("command", [("replay",), ("discard", "--yes")])
    def test_an_id_without_a_failure_is_a_mistake_and_nothing_is_done(
        self, panopticon: Panopticon, house: House, command: tuple[str, ...]
    ) -> None:
        ran = panopticon("dead", *command, "a", "typo")
        assert ran.complaint.startswith("image 'typo' has no failure; panopticon dead list names")
        assert states(house)["a"] == "dead"


class TestShow:
    def test_a_failure_is_shown_with_its_message(self, panopticon: Panopticon) -> None:
        shown = panopticon("dead", "show", "a").out
        assert "tagger@1 · dead · revision 0" in shown
        assert '"image_uri": "file:///photos/a.jpg"' in shown
        assert "Next: panopticon dead replay a" in shown

    @pytest.mark.parametrize(
        "address", ["https://a.example/1.jpg?sig=SECRET", r"HTTP:\/\/a.example\/1.jpg\u003fsig=SECRET#x"]
    )
    def test_the_query_of_a_web_address_is_for_programs_alone(
        self, panopticon: Panopticon, house: House, address: str
    ) -> None:
        body = f'{{"image_id": "e", "image_uri": "{address}", "revision": 7}}'
        house.store.outputs.put_failures([replace(dead("e"), message=body.encode())])
        shown = panopticon("dead", "show", "e").out
        assert "SECRET" not in shown
        assert "1.jpg?…" in shown
        assert '"revision": 7' in shown
        assert "SECRET" not in panopticon("dead", "list").out
        assert panopticon("dead", "show", "e", "--json").json["failures"][0]["message"] == body

    def test_bytes_that_are_not_text_are_escaped(self, panopticon: Panopticon) -> None:
        assert r"\xffno message" in panopticon("dead", "show", "message-1").out

    def test_an_image_without_a_failure_is_one_line(self, panopticon: Panopticon) -> None:
        complaint = panopticon("dead", "show", "nobody").complaint
        assert complaint.startswith("image 'nobody' has no failure")


class TestReplay:
    def test_an_image_s_own_message_goes_to_the_version_that_failed(
        self, panopticon: Panopticon, house: House
    ) -> None:
        ran = panopticon("dead", "replay", "a")
        assert ran.out.startswith("1 failure sent back, lane backfill.")
        assert house.waiting(TAGGER) == [dead("a").message]
        assert house.waiting(QUALITY) == []
        assert states(house)["a"] == "replayed"

    def test_a_lane_may_be_chosen(self, panopticon: Panopticon, house: House) -> None:
        panopticon("dead", "replay", "a", "--lane", "live")
        assert house.broker.model_queue(TAGGER).depth()[Lane.LIVE].ready == 1

    def test_failures_are_chosen_by_reason(self, panopticon: Panopticon, house: House) -> None:
        panopticon("dead", "replay", "--reason", "not_found")
        assert [name for name, state in states(house).items() if state == "replayed"] == ["b", "d"]

    def test_all_sends_back_every_failure_except_malformed_messages(
        self, panopticon: Panopticon, house: House
    ) -> None:
        ran = panopticon("dead", "replay", "--all")
        assert ran.out.startswith("3 failures sent back")
        assert ran.err.startswith("1 not sent: the message is malformed")
        assert states(house)["message-1"] == "dead"

    def test_a_failure_is_not_replayed_twice(self, panopticon: Panopticon, house: House) -> None:
        panopticon("dead", "replay", "a")
        assert panopticon("dead", "replay", "a").out.startswith("0 failures sent back")
        assert len(house.waiting(TAGGER)) == 1

    def test_a_later_failure_is_not_hidden_by_an_earlier_replay(
        self, panopticon: Panopticon, house: House
    ) -> None:
        died_again = replace(dead("a"), last_at_ms=NOON_MS + 1)
        house.store.outputs.put_failures([died_again])
        house.store.outputs.put_failures([replace(dead("a"), state=FailureState.REPLAYED)])
        assert states(house)["a"] == "dead"

    def test_the_message_is_on_the_queue_before_the_failure_is_marked(
        self, panopticon: Panopticon, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from storage.stores.sqlite.outputs import SqliteOutputStore

        def crash(self: object, failures: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(SqliteOutputStore, "put_failures", crash)
        assert panopticon("dead", "replay", "a").code == 130
        assert (len(house.waiting(TAGGER)), states(house)["a"]) == (1, "dead")


class TestDiscard:
    def test_failures_are_discarded_and_kept(self, panopticon: Panopticon, house: House) -> None:
        ran = panopticon("dead", "discard", "--reason", "corrupt", "--yes")
        assert (ran.code, ran.out) == (0, "3 failures discarded.\n")
        assert states(house) == {
            "a": "discarded",
            "b": "dead",
            "c": "discarded",
            "d": "replayed",
            "message-1": "discarded",
        }

    def test_without_a_yes_nothing_is_discarded(self, panopticon: Panopticon, house: House) -> None:
        ran = panopticon("dead", "discard", "a", stdin=b"n\n")
        assert (ran.code, "Discard 1 failure (1 corrupt)?" in ran.err) == (130, True)
        assert states(house)["a"] == "dead"

    def test_a_yes_to_the_question_discards(self, panopticon: Panopticon, house: House) -> None:
        assert panopticon("dead", "discard", "a", stdin=b"y\n").code == 0
        assert states(house)["a"] == "discarded"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ("list", "--model", "tagger"),
            "no model version: 'tagger'; write the model's name, @ and a version, as in tagger@1",
        ),
        (
            ("list", "--model", "tagger@9"),
            "unknown model version tagger@9; known: quality@1, tagger@1, catalogue@1",
        ),
        (("list", "--day", "yesterday"), "--day is 'yesterday'; write a day of UTC as 2026-11-21"),
        (("list", "--day", "2026-02-30"), "--day is '2026-02-30'; write a day of UTC as 2026-11-21"),
        (("replay",), "which failures? name image IDs, --model, --reason or --day, or pass --all"),
        (("discard", "--yes"), "which failures? name image IDs, --model, --reason or --day, or pass --all"),
        (
            ("replay", "a", "--all"),
            "--all means every failure; leave out the image IDs, --model, --reason and --day",
        ),
        (("replay", "\udcff"), r"'\udcff' is not an image ID: it is not UTF-8"),
    ],
)
def test_a_mistake_is_one_line(panopticon: Panopticon, arguments: tuple[str, ...], complaint: str) -> None:
    assert panopticon("dead", *arguments).complaint == complaint
