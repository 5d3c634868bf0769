"""What `GET /metrics` shows: counters, gauges and histograms in one registry of this process.

One `Metrics` object is made by the composition root and passed to whoever has something to count. Labels take
values from closed sets or from the configuration only, never a number, a session or a URL.
"""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from fsbridge.model.call import Call
from fsbridge.model.status import Status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_CALL_BUCKETS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600)
_VERDICT_BUCKETS = (0.25, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10, 15)
_TAP_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 3)
_LATENESS_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5)


class Metrics:
    """The metrics by attribute, and the two ways in which a call changes several of them at once."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        at = self.registry
        self.calls = Counter(
            "fsbridge_calls", "Ended calls by status and failure reason", ["status", "reason"], registry=at
        )
        self.active_calls = Gauge("fsbridge_active_calls", "Calls in progress by status", ["status"], registry=at)
        self.call_seconds = Histogram(
            "fsbridge_call_duration_seconds", "Answer to end of answered calls", buckets=_CALL_BUCKETS, registry=at
        )
        self.verdicts = Counter(
            "fsbridge_verdicts", "Answers analysed, by verdict and its reason", ["result", "reason"], registry=at
        )
        self.verdict_seconds = Histogram(
            "fsbridge_verdict_seconds", "Answer to verdict", buckets=_VERDICT_BUCKETS, registry=at
        )
        self.tap_seconds = Histogram(
            "fsbridge_tap_connect_seconds", "Answer to the audio tap's connect", buckets=_TAP_BUCKETS, registry=at
        )
        self.amd_strange = Counter(
            "fsbridge_amd_unknown_events", "Events of a detector that is newer than we are, passed over", registry=at
        )
        self.esl_connected = Gauge(
            "fsbridge_esl_connected", "1 while a node's event socket is up", ["node"], registry=at
        )
        self.esl_events = Counter("fsbridge_esl_events", "Events received from a node", ["node"], registry=at)
        self.esl_unreadable = Counter(
            "fsbridge_esl_unreadable_events", "Events of a node that could not be read", ["node"], registry=at
        )
        self.stray_channels = Counter(
            "fsbridge_stray_channels",
            "Channels of ours without a live call that were found and hung up",
            ["node"],
            registry=at,
        )
        self.webhook_pending = Gauge("fsbridge_webhook_pending_calls", "Calls that owe webhooks", registry=at)
        self.webhook_deliveries = Counter(
            "fsbridge_webhook_deliveries",
            "Delivery attempts: delivered, retry, gone (410), given_up",
            ["result"],
            registry=at,
        )
        self.webhook_seconds = Histogram(
            "fsbridge_webhook_delivery_seconds", "From the change of the call to its webhook's arrival", registry=at
        )
        self.hub_lateness = Histogram(
            "fsbridge_hub_lateness_seconds",
            "How late a timer of the event loop fires",
            buckets=_LATENESS_BUCKETS,
            registry=at,
        )
        ProcessCollector(registry=at)
        PlatformCollector(registry=at)

    def call_began(self, call: Call) -> None:
        """A call is in progress: a new one, or one taken over after a restart."""
        self.active_calls.labels(call.status).inc()

    def call_changed(self, before: Call, after: Call) -> None:
        """Called for every change of a call that `call_began` was told of."""
        if before.ended:
            return
        if after.status is not before.status:
            self.active_calls.labels(before.status).dec()
            if not after.ended:
                self.active_calls.labels(after.status).inc()
        if after.analysis is not None and before.analysis is None:
            self.verdicts.labels(after.analysis.result, after.analysis.reason or "").inc()
            if after.analysis.decided_after_ms is not None:
                self.verdict_seconds.observe(after.analysis.decided_after_ms / 1_000)
        if after.ended:
            self.calls.labels(after.status, after.failure or "").inc()
            if after.talk_s is not None:
                self.call_seconds.observe(after.talk_s)

    def render(self) -> bytes:
        """The Prometheus text format; its media type is CONTENT_TYPE."""
        return generate_latest(self.registry)

    def active(self, status: Status) -> float:
        """Calls in progress with this status."""
        value = self.registry.get_sample_value("fsbridge_active_calls", {"status": status.value})
        return value or 0.0
