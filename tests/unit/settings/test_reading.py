"""The configuration: every fault is found, at once, with its key."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fsbridge.errors import ConfigError
from fsbridge.settings.flows import FlowSettings
from fsbridge.settings.reading import load, parse
from fsbridge.settings.whole import Settings

pytestmark = pytest.mark.unit

ORG = "6f1c0a52-3a51-4d0c-9a0e-0f2f1f6f4a10"
LEAST: dict[str, Any] = {
    "nodes": [{"name": "fs1"}],
    "trunks": [{"name": "main", "gateways": ["gw1"], "caller_id": "+15550100100"}],
}
NAMELESS: dict[str, Any] = {**LEAST, "trunks": [{"name": "main", "gateways": ["gw1"]}]}
KEY = "sha256:" + "a" * 64
FLOW = "0b8c5d1e-7a44-4f0b-9b1f-1d2c3b4a5968"


def inbound(*entries: dict[str, str], **entry: str) -> dict[str, Any]:
    """A configuration whose inbound calls are mapped by these entries."""
    both = {"org": ORG, "flow": FLOW}
    return {**LEAST, "orgs": [{"id": ORG}], "inbound": [{**both, **each} for each in entries or (entry,)]}


def problems(document: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse(document)
    return tuple(line for problem in caught.value.problems for line in problem.splitlines())


def test_the_least_configuration_and_its_defaults() -> None:
    settings = parse(LEAST)
    assert settings.service.address == ("127.0.0.1", 8080)
    assert settings.nodes[0].port == 8021
    assert settings.nodes[0].password.get_secret_value() == "ClueCon"
    assert settings.webhooks.allow_private is False
    assert settings.dialing.ring_timeout_s == 30
    assert settings.webhooks.retry_delays_s[:2] == (5, 30)


def test_settings_are_frozen_and_show_no_secret() -> None:
    settings = parse(LEAST | {"nodes": [{"name": "fs1", "password": "hunter2"}]})
    with pytest.raises(ValidationError):
        settings.service.listen = "1.2.3.4:1"  # type: ignore[misc]
    assert "hunter2" not in repr(settings)


def test_every_fault_at_once() -> None:
    found = problems(
        {
            "service": {"listen": "nowhere", "sync_timeout_s": -1},
            "nodes": [{"name": "fs 1", "port": 70_000}],
            "trunks": [{"name": "main", "gateways": []}],
        }
    )
    keys = {line.split(":")[0] for line in found}
    assert keys >= {
        "service.listen",
        "service.sync_timeout_s",
        "nodes.0.name",
        "nodes.0.port",
        "trunks.0.gateways",
    }


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"trunks": LEAST["trunks"]}, "nodes: missing"),
        ({**LEAST, "servise": {}}, "servise: no such key; did you mean 'service'?"),
        ({**LEAST, "service": {"data_dri": "x"}}, "service.data_dri: no such key; did you mean 'data_dir'?"),
        ({**LEAST, "zzzzqqq": 1}, "zzzzqqq: no such key"),
        ({**LEAST, "orgs": [{"id": "x" * 36}]}, "orgs.0.id: must be a UUID"),
        ({**LEAST, "orgs": [{"id": ORG, "trunk": "other"}]}, "there is no trunk named 'other'; trunks are main"),
        ({**LEAST, "orgs": [{"id": ORG}, {"id": ORG.upper()}]}, f"orgs: '{ORG}' stands twice"),
        ({**LEAST, "orgs": [{"id": ORG, "api_keys": ["secret"]}]}, "orgs.0.api_keys.0"),
        ({**LEAST, "orgs": [{"id": ORG, "api_keys": [KEY, KEY]}]}, "one API key stands twice"),
        ({**LEAST, "nodes": [{"name": "a"}, {"name": "a"}]}, "nodes: 'a' stands twice"),
        ({**LEAST, "trunks": LEAST["trunks"] * 2}, "trunks: 'main' stands twice"),
        ({**LEAST, "amd": {"workers": 0}}, "amd: with workers = 0, urls must name at least one worker"),
        ({**LEAST, "amd": {"urls": ["http://x"]}}, "amd.urls.0"),
        ({**LEAST, "trunks": [{"name": "main", "gateways": ["gw}bad"]}]}, "trunks.0.gateways.0"),
        (
            {**LEAST, "trunks": [{"name": "main", "gateways": ["a", "b"]}]},
            "trunks.0.gateways: a call takes",
        ),
        ({**LEAST, "trunks": [{"name": "main", "gateways": ["a"], "caller_id": "Anonymous"}]}, "trunks.0.caller_id"),
        ({**LEAST, "orgs": [{"id": ORG, "caller_id": "Acme"}]}, "orgs.0.caller_id"),
        ({**NAMELESS, "orgs": [{"id": ORG}]}, "orgs.0.caller_id: missing, and trunk main has none either"),
        ({**LEAST, "dialing": {"media_timeout_s": -1}}, "dialing.media_timeout_s"),
        ({**LEAST, "nodes": [{"name": "fs1", "host": "a b"}]}, "nodes.0.host"),
        ({**LEAST, "amd": {"keep_audio_s": 61}}, "amd.keep_audio_s"),
        ({**LEAST, "amd": {"keep_audio_s": 5, "keep_audio_dir": "d"}}, "needs a legal ground; set keep_audio_consent"),
        ({**LEAST, "amd": {"keep_audio_s": 5, "keep_audio_consent": True}}, "keep_audio_dir must say where"),
        ({**LEAST, "flows": {"asr_engine": "x"}}, "asr_engine and asr_grammar belong together"),
        ({**LEAST, "flows": {"recordings_url": "https://x"}}, "recordings_dir must say where"),
        ({**LEAST, "flows": {"recordings_dir": "relative"}}, "flows.recordings_dir"),
        ({**LEAST, "flows": {"prompt_hosts": ["a/b"]}}, "flows.prompt_hosts.0"),
        ({**LEAST, "orgs": [{"id": ORG, "flows": {"bot_hosts": ["wss://a"]}}]}, "orgs.0.flows.bot_hosts.0"),
        (
            {**LEAST, "orgs": [{"id": ORG, "flows": {"transfer": [{"context": "a"}]}}]},
            "orgs.0.flows.transfer.0.extensions",
        ),
        ({**LEAST, "orgs": [{"id": ORG, "flows": {"prompts_dir": "a b"}}]}, "orgs.0.flows.prompts_dir"),
        ({**LEAST, "orgs": [{"id": ORG, "secrets": {"a b": "x"}}]}, "orgs.0.secrets.a b"),
        ({**LEAST, "orgs": [{"id": ORG, "secrets": {"crm": "a\nb"}}]}, "crm: a header value is"),
        ({**LEAST, "inbound": [{"number": "+1555", "org": FLOW, "flow": FLOW}]}, "inbound.0.org: there is no org"),
        (inbound(number="1 2"), "inbound.0.number"),
        (inbound(), "inbound.0: give number"),
        (inbound(key="k", node="fs9"), "inbound.0.node: there is no node named 'fs9'; nodes are fs1"),
        ({**LEAST, "inbound": [{"key": "k", "org": ORG, "flow": "x"}]}, "inbound.0.flow"),
        (inbound({"number": "+1555"}, {"number": "1555"}), "inbound.1: another entry is for the same calls"),
    ],
)
def test_a_fault_is_named_with_its_key(document: dict[str, Any], words: str) -> None:
    assert any(words in line for line in problems(document))


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("nodes", "password", "one\ntwo"),
        ("nodes", "password", "\0"),
        ("service", "data_dir", "a\0b"),
        ("flows", "dir", "a\nb"),
        ("service", "secret_key", "too-short"),
        ("service", "secret_key", "ü" * 44),
        ("service", "record_ttl_s", float("inf")),
        ("service", "drain_timeout_s", float("nan")),
        ("service", "drain_timeout_s", -1),
        ("amd", "sensitivity", float("nan")),
        ("amd", "keep_audio_s", float("nan")),
        ("webhooks", "retry_delays_s", [float("inf")]),
        ("webhooks", "retry_delays_s", [1] * 101),
        ("amd", "advertise_host", "a..b"),
        ("orgs", "name", "a\x1b[31m"),
    ],
)
def test_what_the_service_would_not_survive_is_refused(table: str, key: str, value: Any) -> None:
    rest = {"nodes": {"name": "fs1"}, "orgs": {"id": ORG}}.get(table)
    found = problems(LEAST | {table: {key: value} if rest is None else [{**rest, key: value}]})
    assert key in found[0]
    assert str(value) not in found[0] or table != "nodes", "a password is not shown"


def test_probes_are_answered_somewhere_else_or_at_least_somewhere() -> None:
    assert "nowhere to ask" in problems(LEAST | {"service": {"probes_on_listen": False}})[0]
    same = {"listen": "127.0.0.1:80", "probe_listen": "127.0.0.1:80"}
    assert "another address" in problems(LEAST | {"service": same})[0]
    assert parse(LEAST | {"service": {"probe_listen": "127.0.0.1:81"}}).service.probes_on_listen


@pytest.mark.parametrize("bad", ["10.0.0.1/8", "10.0.0.0/33", "proxy", ""])
def test_proxies_are_networks(bad: str) -> None:
    assert "service.proxies.0: must be a network" in problems(LEAST | {"service": {"proxies": [bad]}})[0]


def test_workers_need_ports_of_their_own() -> None:
    assert "from 65534 on there are no 3 ports" in problems(LEAST | {"amd": {"workers": 3, "base_port": 65_534}})[0]
    clash = LEAST | {"service": {"listen": "127.0.0.1:9202"}, "amd": {"workers": 3, "base_port": 9_200}}
    assert "port 9202" in problems(clash)[0]
    assert parse(LEAST | {"amd": {"workers": 2, "base_port": 65_534}}).amd.workers == 2


def test_calls_come_from_somebody_or_withhold_it_on_purpose() -> None:
    for org in ({"caller_id": "+15550100100"}, {"caller_id": "anonymous"}, {"outbound_calling": False}):
        assert parse({**NAMELESS, "orgs": [{"id": ORG} | org]}).orgs[0].id == ORG
    trunks = [*NAMELESS["trunks"], {"name": "named", "gateways": ["gw2"], "caller_id": "anonymous"}]
    assert parse({**NAMELESS, "trunks": trunks, "orgs": [{"id": ORG, "trunk": "named"}]}).orgs[0].trunk == "named"
    assert problems({**NAMELESS, "trunks": trunks, "orgs": [{"id": ORG}]})


@pytest.mark.parametrize("where", ["sip_profile", "name"])
@pytest.mark.parametrize("bad", ["a b", "a,b", "a\nb", "", "-a", "x" * 65, "${x}"])
def test_names_that_enter_commands_are_allow_listed(where: str, bad: str) -> None:
    assert problems(LEAST | {"nodes": [{"name": "fs1"} | {where: bad}]})


@pytest.mark.parametrize("bad", ["srv/x", "/", "/srv/../etc", "/srv/.ssh", "/a b", "/a;b", "/a$b", "/a\nb", "/srv//x"])
def test_a_recordings_folder_may_stand_in_a_command(bad: str) -> None:
    assert problems(LEAST | {"flows": {"recordings_dir": bad}})


def test_inbound_entries_that_differ_are_kept_apart() -> None:
    entries = (
        {"number": "+1555"},
        {"number": "+1555*"},
        {"key": "k"},
        {"key": "k", "number": "+1555"},
        {"number": "*"},
    )
    settings = parse(inbound(*entries))
    assert [entry.number for entry in settings.inbound] == ["+1555", "+1555*", None, "+1555", "*"]
    assert {entry.flow for entry in settings.inbound} == {FLOW}


def test_an_orgs_secrets_are_kept_but_never_shown() -> None:
    settings = parse(LEAST | {"orgs": [{"id": ORG, "secrets": {"crm": "Bearer hunter2"}}]})
    assert settings.orgs[0].secrets["crm"].get_secret_value() == "Bearer hunter2"
    assert "hunter2" not in repr(settings)
    found = problems(LEAST | {"orgs": [{"id": ORG, "secrets": {"crm": "hunter2\x07"}}]})
    assert "hunter2" not in "".join(found)


def test_reference_audio_stands_beside_the_flows_unless_told(tmp_path: Path) -> None:
    assert load(written(tmp_path), {}).flows.reference_audio == Path("/absolute/flows/audio")
    assert load(written(tmp_path, FILE + 'audio_dir = "wav"\n'), {}).flows.reference_audio == tmp_path / "wav"


def test_what_the_example_shows_as_comments_is_taken_as_well() -> None:
    example = Path(__file__).parents[3] / "api" / "fsbridge.example.toml"
    text = re.sub(r"^# (?=\[|[a-z_]+ = )", "", example.read_text(), flags=re.MULTILINE)
    settings = parse(tomllib.loads(text))
    assert settings.inbound[0].node == settings.nodes[0].name
    assert settings.orgs[0].secrets["crm"].get_secret_value().startswith("Bearer ")
    shown = {key for table in tomllib.loads(text).values() for key in (table[0] if isinstance(table, list) else table)}
    assert set(FlowSettings.model_fields) - {"requests_ca_file"} <= shown


def test_a_secret_may_come_from_the_environment(tmp_path: Path) -> None:
    path = written(tmp_path, FILE + f'[[orgs]]\nid = "{ORG}"\ncaller_id = "100"\n')
    settings = load(path, {"FSBRIDGE_ORGS__0__SECRETS__CRM": "Bearer x"})
    assert settings.orgs[0].secrets["crm"].get_secret_value() == "Bearer x"


def test_ipv6_listening_address() -> None:
    assert parse(LEAST | {"service": {"listen": "[::1]:80"}}).service.address == ("::1", 80)


def test_an_orgs_id_is_taken_in_any_case() -> None:
    assert parse(LEAST | {"orgs": [{"id": ORG.upper()}]}).orgs[0].id == ORG


# --- the file and the environment ----------------------------------------------------------------------

FILE = """
[service]
data_dir = "state"
[[nodes]]
name = "fs1"
[[trunks]]
name = "main"
gateways = ["gw1"]
[flows]
dir = "/absolute/flows"
"""


def written(tmp_path: Path, text: str = FILE) -> Path:
    path = tmp_path / "fsbridge.toml"
    path.write_text(text)
    return path


def test_directories_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = load(written(tmp_path), {})
    assert settings.service.data_dir == tmp_path / "state"
    assert settings.flows.dir == Path("/absolute/flows")


def test_places_that_cannot_be_what_they_are_to_be_are_all_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    text = FILE.replace('"state"', '"file"').replace('"/absolute/flows"', '"file/below"') + (
        'audio_dir = "folder"\nrequests_ca_file = "folder"\n[amd]\nweights = "none"\nkeep_audio_dir = "folder/new"\n'
        '[webhooks]\nca_file = "file"\n'
    )
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text), {})
    assert caught.value.problems == (
        f"service.data_dir: {tmp_path / 'file'} is no folder and cannot become one",
        f"flows.dir: {tmp_path / 'file/below'} is no folder and cannot become one",
        f"amd.weights: there is no file {tmp_path / 'none'}",
        f"flows.requests_ca_file: there is no file {tmp_path / 'folder'}",
    )


def test_certificates_are_taken_from_the_file_s_folder_like_everything_else(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    settings = load(written(tmp_path, FILE + '[webhooks]\nca_file = "ca.pem"\n'), {})
    assert settings.webhooks.ca_file == tmp_path / "ca.pem"


def test_the_environment_overrides(tmp_path: Path) -> None:
    environ = {
        "FSBRIDGE_SERVICE__LISTEN": "0.0.0.0:9000",
        "FSBRIDGE_NODES__0__PASSWORD": "from-the-vault",
        "FSBRIDGE_AMD__WORKERS": "3",
        "FSBRIDGE_WEBHOOKS__ALLOW_HTTP": "true",
        "FSBRIDGE": "ignored",
        "FSBRIDGE_NOTHING": "ignored",
        "HOME": "ignored",
    }
    settings = load(written(tmp_path), environ)
    assert settings.service.address == ("0.0.0.0", 9000)
    assert settings.nodes[0].password.get_secret_value() == "from-the-vault"
    assert settings.amd.workers == 3
    assert settings.webhooks.allow_http is True


@pytest.mark.parametrize(
    "variable",
    ["FSBRIDGE_NODES__7__PASSWORD", "FSBRIDGE_NODES__X__PASSWORD", "FSBRIDGE_SERVICE__DATA_DIR__DEEPER"],
)
def test_an_override_without_a_place(tmp_path: Path, variable: str) -> None:
    with pytest.raises(ConfigError, match=f"{variable}: the configuration has no such place"):
        load(written(tmp_path), {variable: "x"})


def test_an_override_with_a_typo(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'listen'"):
        load(written(tmp_path), {"FSBRIDGE_SERVICE__LISTN": "x"})


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load(tmp_path / "none.toml", {})
    with pytest.raises(ConfigError, match=r"fsbridge\.toml: Expected"):
        load(written(tmp_path, "[service"), {})
    (tmp_path / "latin.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match=r"latin\.toml"):
        load(tmp_path / "latin.toml", {})
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path, {})


def test_settings_are_what_parse_gives() -> None:
    assert isinstance(parse(LEAST), Settings)


def test_recordings_are_off_by_default_and_go_beside_the_file(tmp_path: Path) -> None:
    assert (parse(LEAST).amd.keep_ms, parse(LEAST).amd.keep_audio_dir) == (0, None)
    path = tmp_path / "fsbridge.toml"
    path.write_text(
        '[[nodes]]\nname = "fs1"\n[[trunks]]\nname = "main"\ngateways = ["gw1"]\n'
        '[amd]\nkeep_audio_s = 2.5\nkeep_audio_dir = "answers"\nkeep_audio_consent = true\n'
    )
    amd = load(path, {}).amd
    assert (amd.keep_ms, amd.keep_audio_dir, amd.keep_audio_days) == (2_500, tmp_path / "answers", 30)
    assert load(path, {"FSBRIDGE_AMD__KEEP_AUDIO_DIR": "/srv/answers"}).amd.keep_audio_dir == Path("/srv/answers")
