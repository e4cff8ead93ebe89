"""The Prometheus metrics: the name, meaning and labels of each, and the registry of one process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CounterName = Literal[
    "panopticon_images_stored_total",
    "panopticon_images_dead_total",
    "panopticon_messages_dead_total",
    "panopticon_images_retried_total",
    "panopticon_images_republished_total",
    "panopticon_park_total",
    "panopticon_model_restarts_total",
    "panopticon_results_applied_total",
    "panopticon_model_cpu_seconds_total",
    "panopticon_http_requests_total",
    "panopticon_http_refused_total",
    "panopticon_requests_over_limit_total",
    "panopticon_images_admitted_total",
    "panopticon_images_over_limit_total",
    "panopticon_images_dropped_total",
    "panopticon_images_convicted_total",
]
HistogramName = Literal[
    "panopticon_fetch_decode_seconds",
    "panopticon_run_seconds",
    "panopticon_batch_images",
    "panopticon_http_request_seconds",
    "panopticon_wait_seconds",
]
GaugeName = Literal[
    "panopticon_parked",
    "panopticon_images_waiting",
    "panopticon_images_under_way",
    "panopticon_ready_replicas",
]

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
IMAGES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """The meaning of one metric, and the labels that each of its samples carries."""

    help: str
    labels: tuple[str, ...]
    """`model` is written `tagger@1`, `lane` is live or backfill, `part` the component of an Unavailable;
    `reason` is the reason code of a Failure or of a restart, `limit` the limit of a gate: places, bytes or
    backfill; `problem` is the last part of the type of a problem."""
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram's buckets, in the metric's unit; empty for the other kinds."""


COUNTERS: dict[CounterName, MetricSpec] = {
    "panopticon_images_stored_total": MetricSpec(
        help="Outputs stored.",
        labels=("model", "lane"),
    ),
    "panopticon_images_dead_total": MetricSpec(
        help="Images that failed for good: a Failure was stored.",
        labels=("model", "reason"),
    ),
    "panopticon_messages_dead_total": MetricSpec(
        help="Message bodies that could not be read or delivered: one Failure was stored for each body.",
        labels=("model", "reason"),
    ),
    "panopticon_images_retried_total": MetricSpec(
        help="Images put on a retry delay, by reason; host_down and probe spend no attempt.",
        labels=("model", "reason"),
    ),
    "panopticon_images_republished_total": MetricSpec(
        help="Results published from the store, without running the model again.",
        labels=("model",),
    ),
    "panopticon_park_total": MetricSpec(
        help="Times that work was parked because this component was down.",
        labels=("part",),
    ),
    "panopticon_model_restarts_total": MetricSpec(
        help="Model processes started after one had died or been killed.",
        labels=("model", "reason"),
    ),
    "panopticon_results_applied_total": MetricSpec(
        help="Changes sent to the search index, by outcome: applied, stale or refused.",
        labels=("outcome",),
    ),
    "panopticon_model_cpu_seconds_total": MetricSpec(
        help="CPU seconds of the model processes, by step: fetch, decode, run, or the whole process.",
        labels=("model", "step"),
    ),
    "panopticon_http_requests_total": MetricSpec(
        help="HTTP requests by the path of their route and the status of the answer; 499: the client left.",
        labels=("route", "status"),
    ),
    "panopticon_http_refused_total": MetricSpec(
        help="Connections and requests that were refused before their route was known, by problem.",
        labels=("problem",),
    ),
    "panopticon_requests_over_limit_total": MetricSpec(
        help="Requests for which the gate of the service had no room, by its limit that was reached.",
        labels=("limit",),
    ),
    "panopticon_images_admitted_total": MetricSpec(
        help="Images that got a place behind the gate of a model.",
        labels=("model", "lane"),
    ),
    "panopticon_images_over_limit_total": MetricSpec(
        help="Images for which the gate of a model had no room, by its limit that was reached.",
        labels=("model", "limit"),
    ),
    "panopticon_images_dropped_total": MetricSpec(
        help="Admitted images without an answer, by reason: deadline, or client_gone.",
        labels=("model", "reason"),
    ),
    "panopticon_images_convicted_total": MetricSpec(
        help="Images that ended their model process, and are refused from then on.",
        labels=("model",),
    ),
}

HISTOGRAMS: dict[HistogramName, MetricSpec] = {
    "panopticon_fetch_decode_seconds": MetricSpec(
        help="Seconds to fetch and decode one image.",
        labels=("model",),
        buckets=SECONDS,
    ),
    "panopticon_run_seconds": MetricSpec(
        help="Seconds of one run of the model over one batch.",
        labels=("model",),
        buckets=SECONDS,
    ),
    "panopticon_batch_images": MetricSpec(
        help="Images in one batch.",
        labels=("model",),
        buckets=IMAGES,
    ),
    "panopticon_http_request_seconds": MetricSpec(
        help="Seconds from the headers of an HTTP request to the end of its answer.",
        labels=("route",),
        buckets=SECONDS,
    ),
    "panopticon_wait_seconds": MetricSpec(
        help="Seconds that one image of the service waited before a model process got it.",
        labels=("model",),
        buckets=SECONDS,
    ),
}

GAUGES: dict[GaugeName, MetricSpec] = {
    "panopticon_parked": MetricSpec(
        help="1 while parked because this component is down, else 0.",
        labels=("part",),
    ),
    "panopticon_images_waiting": MetricSpec(
        help="Admitted images that no model process has got yet.",
        labels=("model",),
    ),
    "panopticon_images_under_way": MetricSpec(
        help="Images behind the gate of a model, which is full at the setting gate.",
        labels=("model",),
    ),
    "panopticon_ready_replicas": MetricSpec(
        help="Processes of a served model that answer; 0 also after it was unloaded.",
        labels=("model",),
    ),
}


class Metrics:
    """The metrics of one process, in their own registry.

    An unknown name raises KeyError; a missing or an unknown label raises ValueError.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters = {
            name: Counter(name, spec.help, spec.labels, registry=self._registry)
            for name, spec in COUNTERS.items()
        }
        self._histograms = {
            name: Histogram(name, spec.help, spec.labels, registry=self._registry, buckets=spec.buckets)
            for name, spec in HISTOGRAMS.items()
        }
        self._gauges = {
            name: Gauge(name, spec.help, spec.labels, registry=self._registry)
            for name, spec in GAUGES.items()
        }
        # The check of the labels costs more than the counting, and several are counted for each image.
        self._counter = cache(lambda name, labels: self._counters[name].labels(**dict(labels)))
        self._histogram = cache(lambda name, labels: self._histograms[name].labels(**dict(labels)))

    def count(self, name: CounterName, n: float = 1, **labels: str) -> None:
        """Add `n`, which is at least 0, to a counter."""
        self._counter(name, tuple(labels.items())).inc(n)

    def observe(self, name: HistogramName, value: float, **labels: str) -> None:
        """Add one observation to a histogram, in the unit that ends the metric's name."""
        self._histogram(name, tuple(labels.items())).observe(value)

    def set(self, name: GaugeName, value: float, **labels: str) -> None:
        """Replace the value of a gauge for these labels."""
        self._gauges[name].labels(**labels).set(value)

    @property
    def registry(self) -> CollectorRegistry:
        """Return the registry, for an exporter."""
        return self._registry

    def text(self) -> bytes:
        """Return everything measured so far, in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)
