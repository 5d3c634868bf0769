"""`[amd]`: the answering-machine detectors. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fsbridge.settings.addresses import Host, WorkerUrl
from fsbridge.settings.kinds import LocalPath, Seconds, Table


class AmdSettings(Table):
    """Where the detectors are, and their default options (see `amd_model.verdict.AmdOptions`)."""

    workers: int = Field(1, ge=0, le=64, description="worker processes started here; 0 with `urls`")
    host: Host = Field("127.0.0.1", description="address workers listen on")
    advertise_host: Host | None = Field(None, description="the same as FreeSWITCH reaches it; `host` when absent")
    base_port: int = Field(0, ge=0, le=65_535, description="first worker's port; 0 chooses free ones")
    urls: tuple[WorkerUrl, ...] = ()
    capacity: int = Field(1_500, ge=1, le=20_000, description="streams one worker takes before it refuses")
    handshakes_per_address: int = Field(
        512, ge=1, le=1_024, description="connections of one address to a worker that are no streams yet"
    )
    weights: LocalPath | None = Field(None, description="a model of your own; the shipped one when absent")
    shadow: LocalPath | None = Field(None, description="a second model beside it; disagreements are logged")
    words: str = Field(
        "auto",
        pattern=r"^[A-Za-z0-9._/][A-Za-z0-9._/ -]{0,200}$",
        description="the recogniser that reads what is said: its name or folder; auto takes what is installed; off",
    )
    words_languages: tuple[Annotated[str, Field(pattern=r"^[a-z]{2,3}$")], ...] = ()
    words_budget: float = Field(0.5, gt=0, le=8, description="the share of one core that a worker's reader may take")
    transcripts: bool = Field(False, description="tell callers what was heard; needs keep_audio_consent")
    start_timeout_s: Seconds = 60.0
    connect_timeout_s: Seconds = Field(3.0, description="answer to mod_audio_fork::connect")
    when_unavailable: Literal["unknown", "refuse"] = Field(
        "unknown",
        description="no worker is up, or each may be full at the answer: verdict `unknown`, or the call is not placed",
    )
    total_timeout_ms: int = Field(10_000, ge=500, le=59_000)
    initial_silence_ms: int = Field(4_500, ge=500, le=20_000)
    after_greeting_silence_ms: int = Field(800, ge=200, le=5_000)
    message_end_timeout_ms: int = Field(30_000, ge=1_000, le=180_000)
    sensitivity: float = Field(1.0, ge=0.1, le=10.0)
    keep_audio_s: float = Field(0.0, ge=0, le=60, description="seconds of each analysed answer to keep; 0 keeps none")
    keep_audio_dir: LocalPath | None = Field(None, description="where workers started here put them")
    keep_audio_days: int = Field(30, ge=1, le=3_650, description="recordings older than this are deleted")
    keep_audio_consent: bool = Field(False, description="that there is a legal ground to record answers")

    @model_validator(mode="after")
    def _ports_are_there(self) -> AmdSettings:
        if self.base_port and self.base_port + self.workers - 1 > 65_535:
            raise ValueError(f"base_port: from {self.base_port} on there are no {self.workers} ports")
        return self

    @model_validator(mode="after")
    def _keeping_is_allowed(self) -> AmdSettings:
        if self.keep_audio_s and not self.keep_audio_consent:
            raise ValueError(
                "keep_audio_s: recording answers needs a legal ground; set keep_audio_consent = true once you have it"
            )
        if self.transcripts and not self.keep_audio_consent:
            raise ValueError(
                "transcripts: writing down what people say needs a legal ground; set keep_audio_consent = true once "
                "you have it"
            )
        if self.keep_audio_s and self.keep_audio_dir is None:
            raise ValueError("keep_audio_s: keep_audio_dir must say where the recordings go")
        return self

    @property
    def keep_ms(self) -> int:
        """Milliseconds of each answer to keep."""
        return round(self.keep_audio_s * 1000)
