"""`[flows]`: flow documents, and what their steps may use and reach. Pure."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from fsbridge.settings.addresses import WebUrl
from fsbridge.settings.kinds import ListedHost, LocalPath, Name, NodeFolder, Seconds, Table


class FlowSettings(Table):
    """Flow documents: ``<dir>/<orgId>/<flowId>.yaml``; what their steps may use, and reach."""

    dir: LocalPath = Path("flows")
    max_per_org: int = Field(10_000, ge=1, le=1_000_000, description="documents that REST lets an organization have")
    prompts_dir: LocalPath | None = Field(None, description="where FreeSWITCH finds relative prompt paths")
    tts_engine: Name = "flite"
    tts_voice: Name = "slt"
    asr_engine: Name | None = Field(None, description="the node's speech recogniser; without one, digits only")
    asr_grammar: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,199}$")
    recordings_dir: NodeFolder | None = Field(None, description="where nodes put recordings; no recordings when absent")
    recordings_url: WebUrl | None = Field(
        None, description="where the files of recordings_dir can be fetched; customers get the path when absent"
    )
    audio_dir: LocalPath | None = Field(None, description="what `expect: audio_like` compares with; <dir>/audio")
    prompt_hosts: tuple[ListedHost, ...] = Field(
        (), description="hosts whose http(s) URLs any organization's flows may play: the node fetches them, from inside"
    )
    bot_hosts: tuple[ListedHost, ...] = Field((), description="hosts of voice bots that any organization may name")
    max_run_s: Seconds = Field(3_600.0, description="a flow that runs longer is broken off, whatever it says itself")
    request_timeout_s: Seconds = Field(30.0, description="the longest that a request step may take, retries and all")
    max_requests: int = Field(
        200, ge=1, le=10_000, description="HTTP exchanges of request steps at a time; one organization gets four fifths"
    )
    requests_allow_private: bool = Field(False, description="private and loopback addresses may be asked")
    requests_allow_http: bool = Field(False, description="http:// as well as https://; for tests and demos")
    requests_ca_file: LocalPath | None = Field(None, description="certificates trusted beside the public ones")
    bots_allow_private: bool = Field(False, description="voice bots anywhere, private addresses too")
    bots_allow_ws: bool = Field(False, description="ws:// as well as wss://: the call's audio is not encrypted then")

    @model_validator(mode="after")
    def _whole(self) -> FlowSettings:
        if (self.asr_engine is None) != (self.asr_grammar is None):
            raise ValueError("asr_engine and asr_grammar belong together: a recogniser needs to know what to expect")
        if self.recordings_url is not None and self.recordings_dir is None:
            raise ValueError("recordings_url: recordings_dir must say where the nodes put the files")
        return self

    @property
    def reference_audio(self) -> Path:
        """The folder that `audio_like` reads from."""
        return self.audio_dir if self.audio_dir is not None else self.dir / "audio"
