from __future__ import annotations

import re
from typing import Any, get_args

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from panopticon.metrics import (
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    CounterName,
    GaugeName,
    HistogramName,
    Metrics,
    MetricSpec,
)

ALL: dict[str, MetricSpec] = dict([*COUNTERS.items(), *HISTOGRAMS.items(), *GAUGES.items()])


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(metrics.text().decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return samples(metrics)[name, frozenset(labels.items())]


@pytest.mark.parametrize(
    ("names", "specs"), [(CounterName, COUNTERS), (HistogramName, HISTOGRAMS), (GaugeName, GAUGES)]
)
def test_every_name_has_a_specification_and_every_specification_a_name(
    names: Any, specs: dict[str, object]
) -> None:
    assert set(get_args(names)) == set(specs)


@pytest.mark.parametrize("name", ALL)
def test_a_name_has_the_prefix_and_the_characters_that_prometheus_allows(name: str) -> None:
    assert re.fullmatch(r"panopticon_[a-z_]+[a-z]", name)


def test_only_counters_end_in_total() -> None:
    assert {name for name in ALL if name.endswith("_total")} == set(COUNTERS)


@pytest.mark.parametrize("spec", ALL.values(), ids=ALL.keys())
def test_the_help_of_a_metric_is_a_sentence(spec: Any) -> None:
    assert re.fullmatch(r"[A-Z0-9].+\.", spec.help)


@pytest.mark.parametrize("spec", HISTOGRAMS.values(), ids=HISTOGRAMS.keys())
def test_the_bounds_of_a_histogram_rise(spec: Any) -> None:
    assert spec.buckets == tuple(sorted(set(spec.buckets)))
    assert spec.buckets


def test_counts_add_up() -> None:
    metrics = Metrics()
    metrics.count("panopticon_images_dead_total", model="tagger@1", reason="truncated")
    metrics.count("panopticon_images_dead_total", 3, model="tagger@1", reason="truncated")
    assert value(metrics, "panopticon_images_dead_total", model="tagger@1", reason="truncated") == 4


def test_each_set_of_labels_is_counted_separately() -> None:
    metrics = Metrics()
    metrics.count("panopticon_images_stored_total", model="tagger@1", lane="live")
    metrics.count("panopticon_images_stored_total", 2, model="tagger@1", lane="backfill")
    assert value(metrics, "panopticon_images_stored_total", model="tagger@1", lane="live") == 1


def test_an_observation_falls_into_its_buckets() -> None:
    metrics = Metrics()
    metrics.observe("panopticon_batch_images", 8, model="tagger@1")
    name = "panopticon_batch_images_bucket"
    assert value(metrics, name, model="tagger@1", le="8.0") == 1
    assert value(metrics, name, model="tagger@1", le="4.0") == 0
    assert value(metrics, "panopticon_batch_images_sum", model="tagger@1") == 8


def test_a_gauge_has_the_value_that_was_set_last() -> None:
    metrics = Metrics()
    metrics.set("panopticon_parked", 1, part="store")
    metrics.set("panopticon_parked", 0, part="store")
    assert value(metrics, "panopticon_parked", part="store") == 0


@pytest.mark.parametrize("method", [Metrics.count, Metrics.observe, Metrics.set])
def test_an_unknown_name_is_a_key_error(method: Any) -> None:
    with pytest.raises(KeyError):
        method(Metrics(), "panopticon_image_stored_total", 1)


@pytest.mark.parametrize("labels", [{}, {"model": "a@1"}, {"model": "a@1", "lane": "live", "part": "x"}])
def test_labels_that_the_metric_does_not_have_are_a_value_error(labels: Any) -> None:
    with pytest.raises(ValueError, match="label"):
        Metrics().count("panopticon_images_stored_total", **labels)


def test_a_count_never_falls() -> None:
    with pytest.raises(ValueError, match="non-negative"):
        Metrics().count("panopticon_park_total", -1, part="store")


def test_two_sets_of_metrics_share_nothing() -> None:
    one, other = Metrics(), Metrics()
    one.set("panopticon_parked", 1, part="store")
    assert samples(other) == {}


def test_nothing_is_added_to_the_global_registry() -> None:
    Metrics().set("panopticon_parked", 1, part="store")
    assert not any(family.name.startswith("panopticon") for family in REGISTRY.collect())
