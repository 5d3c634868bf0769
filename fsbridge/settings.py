"""The configuration: one TOML file, `FSBRIDGE_…` environment overrides, checked whole and then frozen.

`load` reads a file and the environment it is given; `parse` is pure. Every fault is reported at once with its
key. An override is named after the key with two underscores between levels: ``FSBRIDGE_SERVICE__LISTEN``,
``FSBRIDGE_AMD__WORKERS``; lists of tables are addressed by index: ``FSBRIDGE_NODES__0__PASSWORD``. Keys become lower
case on the way, so a secret that is to come from there has a lower-case name: ``FSBRIDGE_ORGS__0__SECRETS__CRM``.
This module is the only one that is given the environment.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from fsbridge.errors import ConfigError
from fsbridge.model.ids import is_uuid

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""A name from the configuration that may enter an event-socket command: allow-listed."""
Uuid = Annotated[str, Field(min_length=36, max_length=36)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Hostname = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")]
NodeFolder = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}){1,16}/?$")]
"""An absolute folder on a FreeSWITCH node; it enters commands: allow-listed, and no part begins with a dot."""
HostPort = Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$")]

_HEADER_VALUE = re.compile(r"[!-~]([ -~]{0,4094}[!-~])?")


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class ServiceSettings(_Table):
    """The HTTP side and what is kept on disk."""

    listen: HostPort = "127.0.0.1:8080"
    data_dir: Path = Path("var")
    log_format: Literal["human", "json"] = "human"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    sync_timeout_s: Seconds = 30.0
    max_body_bytes: int = Field(65_536, ge=1_024, le=10_485_760)
    max_connections: int = Field(4_000, ge=10, le=100_000)
    requests_per_second: float = Field(200.0, gt=0, le=100_000, description="a key's rate; above it 429")
    record_ttl_s: float = Field(7 * 86_400.0, gt=0, description="how long a call is kept after its end")
    drain_timeout_s: Seconds = 30.0
    secret_key: SecretStr | None = Field(
        None, description="Fernet key that encrypts webhookAuth at rest; made in data_dir when absent"
    )

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class OrgAmdSettings(_Table):
    """An organization's own defaults for the detector; what is absent is the service's (`[amd]`)."""

    total_timeout_ms: int | None = Field(None, ge=500, le=59_000)
    initial_silence_ms: int | None = Field(None, ge=500, le=20_000)
    after_greeting_silence_ms: int | None = Field(None, ge=200, le=5_000)
    message_end_timeout_ms: int | None = Field(None, ge=1_000, le=180_000)
    sensitivity: float | None = Field(None, ge=0.1, le=10.0)


class OrgSettings(_Table):
    """One organization: its keys (hashes only), its permission and its caller id."""

    id: Uuid
    name: str = Field("", max_length=200)
    api_keys: tuple[Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")], ...] = ()
    outbound_calling: bool = True
    caller_id: str | None = Field(None, pattern=r"^\+?[0-9]{1,15}$")
    trunk: Name | None = Field(None, description="the trunk its calls take; the first one when absent")
    amd: OrgAmdSettings = OrgAmdSettings()
    secrets: dict[Name, SecretStr] = Field(
        default_factory=dict, description="header values that its flows' requests name; never shown, never logged"
    )

    @field_validator("id")
    @classmethod
    def _canonical(cls, value: str) -> str:
        return _canonical_uuid(value)

    @field_validator("secrets")
    @classmethod
    def _sendable(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, secret in value.items():
            if not _HEADER_VALUE.fullmatch(secret.get_secret_value()):
                raise ValueError(f"{name}: a header value is at most 4096 printable ASCII characters")
        return value


class NodeSettings(_Table):
    """One FreeSWITCH and its event socket."""

    name: Name
    host: str = Field("127.0.0.1", pattern=r"^[A-Za-z0-9.:_-]+$")
    port: int = Field(8021, ge=1, le=65_535)
    password: SecretStr = SecretStr("ClueCon")
    sip_profile: Name = "external"
    connect_timeout_s: Seconds = 5.0
    command_timeout_s: Seconds = 5.0
    heartbeat_timeout_s: Seconds = 65.0
    lost_after_s: Seconds = Field(60.0, description="calls of a node away for longer than this are given up")


class TrunkSettings(_Table):
    """A named set of gateways, tried in order."""

    name: Name
    gateways: tuple[Name, ...] = Field(min_length=1)
    prefix: str = Field("", pattern=r"^[0-9#*]{0,15}$", description="digits before the number")
    strip_plus: bool = False
    caller_id: str | None = Field(None, pattern=r"^\+?[0-9]{1,15}$")
    sip_uris: bool = Field(True, description="whether SIP URI destinations may be dialled")


class DialingSettings(_Table):
    """What every call shares."""

    ring_timeout_s: int = Field(30, ge=1, le=300)
    max_call_s: int = Field(3_600, ge=1, le=86_400)
    max_inbound_calls: int = Field(500, ge=1, le=20_000, description="live inbound calls; above it they are refused")
    originate_grace_s: Seconds = Field(10.0, description="how long after the ring timeout a silent job is chased")


class AmdSettings(_Table):
    """Where the detectors are, and their default options (see `amd_model.verdict.AmdOptions`)."""

    workers: int = Field(1, ge=0, le=64, description="worker processes started here; 0 with `urls`")
    host: str = Field("127.0.0.1", pattern=r"^[A-Za-z0-9.-]+$", description="address workers listen on")
    advertise_host: str | None = Field(
        None, pattern=r"^[A-Za-z0-9.-]+$", description="the same as FreeSWITCH reaches it; `host` when absent"
    )
    base_port: int = Field(0, ge=0, le=65_535, description="first worker's port; 0 chooses free ones")
    urls: tuple[Annotated[str, Field(pattern=r"^wss?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._/-]*)?$")], ...] = ()
    capacity: int = Field(1_500, ge=1, le=20_000, description="streams one worker takes before it refuses")
    weights: Path | None = Field(None, description="a model of your own; the shipped one when absent")
    shadow: Path | None = Field(None, description="a second model that listens beside it; disagreements are logged")
    start_timeout_s: Seconds = 60.0
    connect_timeout_s: Seconds = Field(3.0, description="answer to mod_audio_fork::connect")
    when_unavailable: Literal["unknown", "refuse"] = Field(
        "unknown", description="no worker is up: verdict `unknown`, or the call is not placed"
    )
    total_timeout_ms: int = Field(10_000, ge=500, le=59_000)
    initial_silence_ms: int = Field(4_500, ge=500, le=20_000)
    after_greeting_silence_ms: int = Field(800, ge=200, le=5_000)
    message_end_timeout_ms: int = Field(30_000, ge=1_000, le=180_000)
    sensitivity: float = Field(1.0, ge=0.1, le=10.0)
    keep_audio_s: float = Field(0.0, ge=0, le=60, description="seconds of each analysed answer to keep; 0 keeps none")
    keep_audio_dir: Path | None = Field(None, description="where workers started here put them")
    keep_audio_days: int = Field(30, ge=1, le=3_650, description="recordings older than this are deleted")
    keep_audio_consent: bool = Field(False, description="that there is a legal ground to record answers")

    @model_validator(mode="after")
    def _keeping_is_allowed(self) -> AmdSettings:
        if self.keep_audio_s and not self.keep_audio_consent:
            raise ValueError(
                "keep_audio_s: recording answers needs a legal ground; set keep_audio_consent = true once you have it"
            )
        if self.keep_audio_s and self.keep_audio_dir is None:
            raise ValueError("keep_audio_s: keep_audio_dir must say where the recordings go")
        return self

    @property
    def keep_ms(self) -> int:
        """Milliseconds of each answer to keep."""
        return round(self.keep_audio_s * 1000)


class FlowSettings(_Table):
    """Flow documents: ``<dir>/<orgId>/<flowId>.yaml``; what their steps may use, and reach."""

    dir: Path = Path("flows")
    max_per_org: int = Field(10_000, ge=1, le=1_000_000, description="documents that REST lets an organization have")
    prompts_dir: Path | None = Field(None, description="where FreeSWITCH finds relative prompt paths")
    tts_engine: Name = "flite"
    tts_voice: Name = "slt"
    asr_engine: Name | None = Field(None, description="the node's speech recogniser; without one, digits only")
    asr_grammar: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,199}$")
    recordings_dir: NodeFolder | None = Field(None, description="where nodes put recordings; no recordings when absent")
    recordings_url: str | None = Field(
        None,
        pattern=r"^https?://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*/?$",
        description="where the files of recordings_dir can be fetched; customers get the path when absent",
    )
    audio_dir: Path | None = Field(None, description="recordings that `expect: audio_like` compares with; <dir>/audio")
    http_prompts: bool = Field(True, description="whether flows may play http(s) URLs (the node fetches them)")
    prompt_hosts: tuple[Hostname, ...] = Field(
        (), description="hosts that an http(s) prompt may name when a variable of the call is part of its URL"
    )
    max_run_s: Seconds = Field(3_600.0, description="a flow that runs longer is broken off, whatever it says itself")
    request_timeout_s: Seconds = Field(30.0, description="the longest that a request step may take, retries and all")
    max_requests: int = Field(200, ge=1, le=10_000, description="HTTP exchanges of request steps at the same time")
    requests_allow_private: bool = Field(False, description="private and loopback addresses may be asked")
    requests_allow_http: bool = Field(False, description="http:// as well as https://; for tests and demos")
    requests_ca_file: Path | None = Field(None, description="certificates trusted beside the public ones")
    bots_allow_private: bool = Field(False, description="voice bots at private and loopback addresses")
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


class InboundSettings(_Table):
    """Which flow takes a call that comes in: by the number that was called, by the dialplan's word, or by both.

    `key` is what the dialplan set `fsbridge_inbound` to. `number` is an E.164 number or an extension; a last ``*``
    stands for any rest. Of several that fit, the one that says most is taken (`call.lifecycle.arrivals`).
    """

    key: str | None = Field(None, pattern=r"^[A-Za-z0-9+][A-Za-z0-9_.+-]{0,63}$")
    number: str | None = Field(None, pattern=r"^(\+?[A-Za-z0-9_.#-]{1,64}\*?|\*)$")
    node: Name | None = Field(None, description="only calls that come in at this node")
    org: Uuid
    flow: Uuid

    @field_validator("org", "flow")
    @classmethod
    def _canonical(cls, value: str) -> str:
        return _canonical_uuid(value)

    @model_validator(mode="after")
    def _says_something(self) -> InboundSettings:
        if self.key is None and self.number is None:
            raise ValueError('give number = "+15551234567", key = "…" (the dialplan\'s fsbridge_inbound), or both')
        return self


class WebhookSettings(_Table):
    """Deliveries and the addresses they may go to."""

    allow_private: bool = Field(False, description="private and loopback addresses may receive callbacks")
    allow_http: bool = Field(False, description="http:// as well as https://; for tests and demos")
    ca_file: Path | None = None
    connect_timeout_s: Seconds = 5.0
    read_timeout_s: Seconds = 10.0
    workers: int = Field(64, ge=1, le=256)
    retry_delays_s: tuple[Seconds, ...] = (5, 30, 120, 600, 3_600, 3_600 * 3, 3_600 * 6, 3_600 * 12, 3_600 * 24)


class Settings(_Table):
    """Everything; `nodes`, `trunks` and `orgs` name each other and are checked together."""

    service: ServiceSettings = ServiceSettings()
    orgs: tuple[OrgSettings, ...] = ()
    nodes: tuple[NodeSettings, ...] = Field(min_length=1)
    trunks: tuple[TrunkSettings, ...] = Field(min_length=1)
    dialing: DialingSettings = DialingSettings()
    amd: AmdSettings = AmdSettings()
    flows: FlowSettings = FlowSettings()
    inbound: tuple[InboundSettings, ...] = ()
    webhooks: WebhookSettings = WebhookSettings()

    @model_validator(mode="after")
    def _names_agree(self) -> Settings:
        faults = [*_twice("nodes", [n.name for n in self.nodes]), *_twice("trunks", [t.name for t in self.trunks])]
        faults += _twice("orgs", [o.id for o in self.orgs])
        trunks = {t.name for t in self.trunks}
        faults += [
            f"orgs.{i}.trunk: there is no trunk named {o.trunk!r}; trunks are {', '.join(sorted(trunks))}"
            for i, o in enumerate(self.orgs)
            if o.trunk is not None and o.trunk not in trunks
        ]
        keys = [key for o in self.orgs for key in o.api_keys]
        if len(keys) != len(set(keys)):
            faults.append("orgs: one API key stands twice; a key belongs to one organization")
        faults += _inbound_faults(self)
        if self.amd.workers == 0 and not self.amd.urls:
            faults.append("amd: with workers = 0, urls must name at least one worker")
        if faults:
            raise ConfigError(tuple(faults))
        return self


def _inbound_faults(settings: Settings) -> list[str]:
    orgs, nodes = {o.id for o in settings.orgs}, {n.name for n in settings.nodes}
    faults, seen = [], set[tuple[str | None, str | None, str | None]]()
    for place, entry in enumerate(settings.inbound):
        if entry.org not in orgs:
            faults.append(f"inbound.{place}.org: there is no organization {entry.org}")
        if entry.node is not None and entry.node not in nodes:
            known = ", ".join(sorted(nodes))
            faults.append(f"inbound.{place}.node: there is no node named {entry.node!r}; nodes are {known}")
        number = entry.number.removeprefix("+") if entry.number is not None else None
        what = (entry.node, entry.key, number)
        if what in seen:
            faults.append(f"inbound.{place}: another entry is for the same calls; one of them would never be used")
        seen.add(what)
    return faults


def parse(document: Mapping[str, Any]) -> Settings:
    """A parsed TOML document as settings. Raises ConfigError with every fault."""
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        faults = error.errors()
        places = [fault["loc"] for fault in faults]
        # A list with a bad element is reported as too short as well: the element's own fault says it.
        own = [f for f in faults if not any(p != f["loc"] and p[: len(f["loc"])] == f["loc"] for p in places)]
        raise ConfigError(tuple(_explain(fault) for fault in own)) from error


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """The file with the environment's overrides laid over it.

    Relative directories in the file are taken from the file's own folder. Raises ConfigError.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError((f"{path}: there is no such file; `fsbridge init` writes a commented example",)) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError((f"{path}: {error}",)) from error
    settings = parse(_overlay(document, environ))
    base = path.parent
    service = settings.service.model_copy(update={"data_dir": base / settings.service.data_dir})
    own = {name: base / path for name in ("audio_dir", "requests_ca_file") if (path := getattr(settings.flows, name))}
    flows = settings.flows.model_copy(update={"dir": base / settings.flows.dir, **own})
    places = ("keep_audio_dir", "weights", "shadow")
    given = {name: path for name in places if (path := getattr(settings.amd, name)) is not None}
    amd = settings.amd.model_copy(update={name: base / path for name, path in given.items()})
    return settings.model_copy(update={"service": service, "flows": flows, "amd": amd})


def _overlay(document: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    for variable in sorted(environ):
        if not variable.startswith("FSBRIDGE_") or "__" not in variable:
            continue
        *parents, leaf = variable.removeprefix("FSBRIDGE_").lower().split("__")
        place: Any = document
        try:
            for part in parents:
                place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
            place[leaf] = environ[variable]
        except (IndexError, ValueError, TypeError, AttributeError) as error:
            raise ConfigError((f"{variable}: the configuration has no such place to override",)) from error
    return document


def _explain(fault: Any) -> str:
    error = fault.get("ctx", {}).get("error")
    if isinstance(error, ConfigError):
        return str(error)
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(fault["loc"][-1]), _all_keys(), n=1)
        return f"{key}: no such key" + (f"; did you mean {close[0]!r}?" if close else "")
    if fault["type"] == "missing":
        return f"{key}: missing"
    return f"{key}: {fault['msg']}"


def _all_keys() -> list[str]:
    tables: list[type[BaseModel]] = [Settings, ServiceSettings, OrgSettings, NodeSettings, TrunkSettings]
    tables += [DialingSettings, AmdSettings, FlowSettings, InboundSettings, WebhookSettings]
    return sorted({key for table in tables for key in table.model_fields})


def _twice(table: str, names: list[str]) -> list[str]:
    return [f"{table}: {name!r} stands twice" for name in sorted({n for n in names if names.count(n) > 1})]


def _canonical_uuid(value: str) -> str:
    if not is_uuid(value.lower()):
        raise ValueError("must be a UUID such as 6f1c0a52-3a51-4d0c-9a0e-0f2f1f6f4a10")
    return value.lower()
