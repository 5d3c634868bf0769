"""The worker's numbers, in a registry of their own: what GET /metrics shows."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest


class Metrics:
    """Counted by whoever does it; the few methods are what streams need of it (`stream.Counters`)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        new = self.registry
        self.streams = Gauge("amd_streams", "Audio streams open now", ["state"], registry=new)
        self.accepted = Counter("amd_streams_accepted", "Upgrades answered with 101", registry=new)
        self.refused = Counter("amd_streams_refused", "Upgrades answered with 503", ["reason"], registry=new)
        self.finished = Counter("amd_streams_ended", "How streams left the analysis", ["how"], registry=new)
        self.verdicts = Counter("amd_verdicts", "Events that carried a result", ["result"], registry=new)
        self.metadata = Counter("amd_bad_metadata", "Streams whose options could not be read", registry=new)
        self.ticks = Counter("amd_ticks", "Ticks of 100 ms analysed", registry=new)
        self.busy = Counter("amd_busy_seconds", "Time spent in the sweep's slots", registry=new)
        self.lag = Gauge("amd_lag_seconds", "Latest end of a slot after its time, in the last second", registry=new)
        self.shadow = Counter("amd_shadow", "Verdicts beside the shadow model's", ["agree"], registry=new)
        self.recordings = Counter("amd_recordings", "Answers to be kept", ["outcome"], registry=new)
        self.looks = Counter("amd_words_looks", "Looks at the words, by what came of them", ["outcome"], registry=new)
        self.words = Gauge("amd_words_ready", "1 while a recogniser reads the words", registry=new)
        self.words_cpu = Counter("amd_words_cpu_seconds", "Processor time of the looks", registry=new)
        self.reloads = Counter("amd_reloads", "Model reloads", ["outcome"], registry=new)

    def verdict(self, result: str) -> None:
        self.verdicts.labels(result).inc()

    def ended(self, how: str) -> None:
        self.finished.labels(how).inc()

    def bad_metadata(self) -> None:
        self.metadata.inc()

    def looked(self, outcome: str) -> None:
        self.looks.labels(outcome).inc()

    def compared(self, agree: bool) -> None:
        self.shadow.labels("yes" if agree else "no").inc()

    def text(self) -> str:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry).decode()
