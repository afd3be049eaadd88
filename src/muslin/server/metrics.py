"""What Prometheus reads at `/metrics` (https://prometheus.io/docs/practices/naming): of one process, or of all workers.

Workers write their metrics into files of one folder, which `METRICS_FOLDER` in their environment names before this
module is imported; whichever worker is asked joins them. Labels have few values: names of models, targets and
classes, routes and codes, and nothing that a client can invent.

prometheus_client takes 2 µs for each value, and a prediction has forty of them. So they gather in a dictionary, from
where they go into its counters at most `FLUSH_S` later. Histograms are counters with a label `le` until they are read.
"""

import asyncio
import os
import struct
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from muslin.evaluation.selective import DECISIONS, OUT_OF_SCOPE
from muslin.server.processes import METRICS_FOLDER
from muslin.server.request_record import RequestRecord

if TYPE_CHECKING:
    from muslin.server.batcher import BatchRun
    from muslin.server.models import ServedModel

MEDIA_TYPE = CONTENT_TYPE_LATEST
FLUSH_S = 0.05
TRIES = 5  # at reading the files of a worker that begins to write its first

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SHORT_SECONDS = (0.0001, 0.00025, 0.0005, *SECONDS)
NUMBERS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


class Count(NamedTuple):
    """A metric that counts, or with `bounds` a histogram."""

    text: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


COUNTS = {
    "requests": Count("Requests that were answered.", ("method", "route", "status")),
    "errors": Count("Requests that were refused or failed, by the error's code.", ("route", "code")),
    "request_duration_seconds": Count("Time from a request's head to the end of its response.", ("route",), SECONDS),
    "stage_duration_seconds": Count("Time of each stage of a prediction.", ("stage",), SHORT_SECONDS),
    "received_bytes": Count("Bytes of request bodies."),
    "sent_bytes": Count("Bytes of response bodies."),
    "batches": Count("Runs of the model, by the reason for their start.", ("model", "reason")),
    "batch_images": Count("Images in a run of the model.", ("model",), NUMBERS),
    "batch_requests": Count("Requests in a run of the model.", ("model",), NUMBERS),
    "batch_wait_seconds": Count("How long the oldest image of a run waited.", ("model",), SHORT_SECONDS),
    "batch_run_seconds": Count("Time that the model takes for a run.", ("model",), SHORT_SECONDS),
    "decisions": Count("Predictions, by decision.", ("model", "target", "decision")),
    "predicted_classes": Count("Predictions, by predicted class.", ("model", "target", "class")),
    "unreadable_images": Count("Images that could not be read, by the error's code.", ("model", "code")),
    "shadow_predictions": Count(
        "Predictions of a shadow, by its digest, the class of the model in use, and whether it predicts the same.",
        ("model", "shadow", "target", "class", "agrees"),
    ),
    "shadow_skipped_images": Count(
        "Images that were not compared, because the shadow was too slow or could not read them.", ("model",)
    ),
    "model_loads": Count("Attempts to load a model file.", ("model", "result")),
    "log_lines_dropped": Count("Log lines that were dropped because their reader was too slow."),
}
GAUGES = {
    "model_workers": ("Worker processes that serve this file.", ("model", "digest")),
    "requests_in_flight": ("Requests in progress.", ()),
    "resident_memory_bytes": ("Memory of the worker processes.", ()),
    "out_of_scope_ratio": ("Share of the predictions since the start that are out of scope.", ("model", "target")),
}
_GATHERED = "_gathered"  # the ending of a histogram's counters


class Metrics:
    """The metrics of this process. Belongs to one event loop."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._counts: dict[tuple[str, tuple[str, ...]], float] = {}
        self._histograms: dict[tuple[str, tuple[str, ...]], list[float]] = {}  # numbers of values per bucket; their sum
        self._running = 0
        self._is_joined = METRICS_FOLDER in os.environ
        self._timer: asyncio.TimerHandle | None = None
        for name, (text, labels, bounds) in COUNTS.items():
            if bounds:
                self._add_counter(name + _GATHERED, text, (*labels, "le"))
                self._add_counter(name + "_sum" + _GATHERED, text, labels)
            else:
                self._add_counter(name, text, labels)
        self._models, self._in_flight = self._gauge("model_workers"), self._gauge("requests_in_flight")
        self._memory = self._gauge("resident_memory_bytes")

    def _add_counter(self, name: str, text: str, labels: tuple[str, ...]) -> None:
        self._counters[name] = Counter(f"muslin_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str) -> Gauge:
        return Gauge(f"muslin_{name}", *GAUGES[name], registry=self._registry, multiprocess_mode="livesum")

    def count(self, name: str, *labels: str, by: float = 1.0) -> None:
        """Add to a metric of COUNTS without bounds."""
        key = name, labels
        self._counts[key] = self._counts.get(key, 0.0) + by
        if self._is_joined and self._timer is None:
            self._flush_later()

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Add a value to a metric of COUNTS with bounds."""
        key, bounds = (name, labels), COUNTS[name].bounds
        row = self._histograms.get(key)
        if row is None:
            row = self._histograms[key] = [0.0] * (len(bounds) + 2)
        row[bisect_left(bounds, value)] += 1
        row[-1] += value

    def _flush_later(self) -> None:
        with suppress(RuntimeError):  # the event loop does not run yet
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Give all that has gathered to prometheus_client; the last time before the process ends."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._in_flight.set(self._running)
        self._memory.set(_resident_bytes())
        counts, self._counts = self._counts, {}
        for (name, labels), value in counts.items():
            self._add(name, labels, value)
        histograms, self._histograms = self._histograms, {}
        for (name, labels), (*numbers, total) in histograms.items():
            for bound, number in zip((*COUNTS[name].bounds, "+Inf"), numbers, strict=True):
                if number:
                    self._add(name + _GATHERED, (*labels, str(bound)), number)
            self._add(name + "_sum" + _GATHERED, labels, total)

    def _add(self, name: str, labels: tuple[str, ...], value: float) -> None:
        counter = self._counters[name]
        (counter.labels(*labels) if labels else counter).inc(value)

    def request_began(self) -> None:
        self._running += 1
        if self._is_joined and self._timer is None:
            self._flush_later()

    def request_ended(self, record: RequestRecord) -> None:
        """Count an answered request."""
        self._running -= 1
        self.count("requests", record.method, record.route, str(record.status))
        self.observe("request_duration_seconds", record.seconds, record.route)
        self.count("received_bytes", by=record.received_bytes)
        self.count("sent_bytes", by=record.sent_bytes)
        for stage, seconds in record.stages.items():
            self.observe("stage_duration_seconds", seconds, stage)
        if record.error:
            self.count("errors", record.route, record.error)
        for target, decision, classes in record.predictions:
            self.count("decisions", record.model, target, decision)
            for name in classes:
                self.count("predicted_classes", record.model, target, name)
        for code in record.unreadable:
            self.count("unreadable_images", record.model, code)

    def watch(self, model: "ServedModel", former: "ServedModel | None" = None) -> None:
        """Count what `model` does, which is served from now on, in place of `former`."""
        model.batcher.on_run = partial(self.batch_ran, model.name)
        self.count("model_loads", model.name, "loaded")
        if former is not None:
            self._models.labels(model.name, former.digest).set(0)
        self._models.labels(model.name, model.digest).set(1)
        self.flush()  # at the start no event loop runs that would do it later, and a killed worker's counts stay

    def batch_ran(self, model: str, run: "BatchRun") -> None:
        """Count a run of a model."""
        self.count("batches", model, run.reason)
        self.observe("batch_images", run.images, model)
        self.observe("batch_requests", run.requests, model)
        self.observe("batch_wait_seconds", run.waited_s, model)
        self.observe("batch_run_seconds", run.run_s, model)

    def model_refused(self, name: str) -> None:
        """Count a model file that cannot be used."""
        self.count("model_loads", name, "refused")

    def lines_dropped(self, count: int) -> None:
        """Count lines that the log lost. Can be called from another thread."""
        self._counters["log_lines_dropped"].inc(count)

    def collector(self) -> "Collector":
        """What `metrics_text` reads; to be asked for in the event loop."""
        self.flush()
        return _Shown(_AllWorkers(os.environ[METRICS_FOLDER]) if self._is_joined else self._registry)


def _resident_bytes() -> int:
    """Memory of this process that is in RAM; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def metrics_text(collector: Collector) -> bytes:
    """The metrics in Prometheus's text format. Reads files: not for an event loop."""
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry)


def counted(collector: Collector, name: str) -> list[tuple[dict[str, str], float]]:
    """The labels and values of a metric of COUNTS without bounds. Reads files: not for an event loop."""
    return [child for metric in collector.collect() if metric.name == f"muslin_{name}" for child in _values(metric)]


class _AllWorkers(Collector):
    """The metrics of all workers, from their files."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        for _ in range(TRIES - 1):
            try:
                return iter(list(MultiProcessCollector(None, self._folder).collect()))
            except (struct.error, RuntimeError, FileNotFoundError):
                continue  # a file has just been made, and is empty; or its worker has ended
        return iter(list(MultiProcessCollector(None, self._folder).collect()))


class _Shown(Collector):
    """Metrics as they are read: histograms from their counters, and the share of predictions that are out of scope."""

    def __init__(self, inner: Collector) -> None:
        self._inner = inner

    def collect(self) -> Iterator[Metric]:
        found = {metric.name.removeprefix("muslin_"): metric for metric in self._inner.collect()}
        for name, count in COUNTS.items():
            if count.bounds:
                yield _histogram(name, count, found)
            elif name in found:
                found[name].samples = [s for s in found[name].samples if s.name.endswith("_total")]
                yield found[name]
        for name in sorted(GAUGES.keys() & found.keys()):
            found[name].samples = [s for s in found[name].samples if s.value or not s.labels]
            yield found[name]
        yield _out_of_scope_ratio(found)


def _histogram(name: str, count: Count, found: dict[str, Metric]) -> HistogramMetricFamily:
    """The histogram whose counters are in `found`."""
    buckets: dict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for labels, value in _values(found.get(name + _GATHERED)):
        buckets[tuple(labels[label] for label in count.labels)][labels["le"]] = value
    sums = {tuple(labels.values()): value for labels, value in _values(found.get(name + "_sum" + _GATHERED))}
    family = HistogramMetricFamily(f"muslin_{name}", count.text, labels=count.labels)
    for values, by_bound in buckets.items():
        total, cumulative = 0.0, []
        for bound in [*map(str, count.bounds), "+Inf"]:
            total += by_bound.get(bound, 0.0)
            cumulative.append((bound, total))
        family.add_metric(values, cumulative, sums.get(values, 0.0))
    return family


def _out_of_scope_ratio(found: dict[str, Metric]) -> GaugeMetricFamily:
    totals: dict[tuple[str, str], float] = defaultdict(float)
    out_of_scope: dict[tuple[str, str], float] = defaultdict(float)
    for labels, value in _values(found.get("decisions")):
        key = labels["model"], labels["target"]
        totals[key] += value
        out_of_scope[key] += value * (labels["decision"] == DECISIONS[OUT_OF_SCOPE])
    text, names = GAUGES["out_of_scope_ratio"]
    family = GaugeMetricFamily("muslin_out_of_scope_ratio", text, labels=names)
    for key, total in totals.items():
        family.add_metric(key, out_of_scope[key] / total)
    return family


def _values(metric: Metric | None) -> Iterator[tuple[dict[str, str], float]]:
    """The labels and the value of each child of a counter."""
    for sample in metric.samples if metric else ():
        if sample.name.endswith("_total"):
            yield sample.labels, sample.value
