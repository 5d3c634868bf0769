"""The doctor's judgements of a node, on what real ones replied and on what a sick one would."""

from __future__ import annotations

import pytest

from fsbridge.doctor.findings import Level
from fsbridge.doctor.needs import FlowNeeds
from fsbridge.doctor.node import KNOWN_PASSWORDS, SOCKET, examine_password
from fsbridge.settings.nodes import NodeSettings
from tests.unit.doctor.recorded import ALL, PLAIN, PREPARED, examine, replies

pytestmark = pytest.mark.unit

ORG = "22222222-2222-4222-8222-222222222222"
STATUS = PREPARED["status"]
PINGED = {"sofia status gateway loop": ALL["sofia status gateway loop"][1]}
SOFIA = "xml_locate configuration configuration name sofia.conf"


def test_the_prepared_node_is_fit() -> None:
    found = examine(PINGED)
    assert {finding.level for finding in found.values()} == {Level.OK}, found
    assert found["version"].text == "FreeSWITCH 1.11.3"
    assert found["limits"].text == "1000 sessions, 49 new ones a second"  # 50 are set: one less is admitted
    assert found["SIP profile"].text == "external is running with TLS"
    assert all(finding.change == "" for finding in found.values())


def test_a_node_that_tells_less_is_not_called_fit() -> None:
    found = examine(node=PLAIN, trunks=[{"name": "t", "gateways": ["carrier"], "caller_id": "100"}])
    bad = {check: finding.level for check, finding in found.items() if finding.level is not Level.OK}
    assert bad == {"gateway carrier": Level.WARNING, "far ends": Level.WARNING, "takes calls": Level.WARNING}


@pytest.mark.parametrize(
    ("command", "reply", "check", "level", "change"),
    [
        ("version", "FreeSWITCH Version 1.8.7-release~64bit", "version", Level.WARNING, "upgrade"),
        ("version", "FreeSWITCH Version 1.10.12-release~64bit", "version", Level.WARNING, "upgrade the node to 1.11"),
        ("version", "FreeSWITCH Version 1.11.0-release~64bit", "version", Level.OK, ""),
        ("version", "Asterisk", "version", Level.WARNING, "mod_commands"),
        ("status", "-ERR status Command not found!", "limits", Level.WARNING, "mod_commands"),
        ("status", STATUS.replace("1000 session", "20 session"), "limits", Level.WARNING, "max-sessions"),
        ("status", STATUS.replace("out of max 50", "out of max 5"), "limits", Level.WARNING, "fsctl sps N"),
        ("status", STATUS.replace("0 session(s) - peak", "950 session(s) - peak"), "limits", Level.WARNING, "max-"),
        ("fsctl ready_check", "false", "takes calls", Level.PROBLEM, "start it again"),
        ("fsctl ready_check", "-ERR usage", "takes calls", Level.WARNING, "pause_check"),
        ("fsctl pause_check outbound", "true", "takes calls", Level.PROBLEM, "fsctl resume"),
        ("fsctl pause_check outbound", "-ERR usage", "takes calls", Level.WARNING, "pause_check"),
        ("module_exists mod_audio_fork", "false", "mod_audio_fork", Level.PROBLEM, "modules.conf.xml"),
        ("module_exists mod_sofia", "-ERR module_exists Command not found!\n", "mod_sofia", Level.PROBLEM, "load"),
        ("module_exists mod_hash", "false", "mod_hash", Level.WARNING, "load mod_hash"),
        ("module_exists mod_flite", "false", "mod_flite", Level.WARNING, "load mod_flite"),
        ("module_exists mod_sndfile", "false", "mod_sndfile", Level.WARNING, "load mod_sndfile"),
    ],
)
def test_a_sick_reply_is_told_with_what_to_change(
    command: str, reply: str, check: str, level: Level, change: str
) -> None:
    assert reply != PREPARED.get(command)
    found = examine({command: reply})[check]
    assert found.level is level
    assert change in found.change
    assert bool(found.change) == (level is not Level.OK)


@pytest.mark.parametrize("trace", ["standing_paused", "standing_shut_down"])
def test_a_node_as_it_was_when_it_took_no_calls(trace: str) -> None:
    """HEARTBEAT says "System Ready" all the while."""
    levels = set()
    told = replies(trace)
    for paused, ready in zip(told["fsctl pause_check outbound"], told["fsctl ready_check"], strict=False):
        found = examine({"fsctl pause_check outbound": paused, "fsctl ready_check": ready})["takes calls"]
        levels.add(found.level)
    assert levels == {Level.OK, Level.PROBLEM}


def test_a_pause_of_one_way_matters_where_calls_go_that_way() -> None:
    assert examine({"fsctl pause_check outbound": ALL["fsctl pause_check outbound"][3]})["takes calls"].level is (
        Level.PROBLEM
    )
    theirs = {"fsctl pause_check inbound": ALL["fsctl pause_check inbound"][1]}
    assert examine(theirs)["takes calls"].level is Level.OK
    taken = examine(theirs, orgs=[{"id": ORG}], inbound=[{"key": "k", "org": ORG, "flow": ORG}])["takes calls"]
    assert (taken.level, "resume inbound" in taken.change) == (Level.PROBLEM, True)


def test_limits_against_what_is_configured() -> None:
    tables = {"orgs": [{"id": ORG}], "inbound": [{"key": "k", "org": ORG, "flow": ORG}]}
    assert examine(**tables)["limits"].level is Level.OK
    found = examine(**tables, dialing={"max_inbound_calls": 1_000})["limits"]
    assert (found.level, "max_inbound_calls" in found.change) == (Level.WARNING, True)
    bridges = FlowNeeds(kinds=frozenset({"bridge"}))
    assert "a bridged call takes two" in examine(needs=bridges)["limits"].text


def test_a_missing_module_matters_as_much_as_the_flows_use_it() -> None:
    gone = {f"module_exists mod_{name}": "false" for name in ("polly", "tone_stream", "http_cache", "sndfile", "shout")}
    needs = FlowNeeds(
        kinds=frozenset({"play", "pause", "speak"}),
        engines=frozenset({"polly"}),
        web_prompts=True,
        files=frozenset({"/srv/song.mp3"}),
    )
    found = examine(gone, needs)
    for module in ("mod_polly", "mod_tone_stream", "mod_http_cache", "mod_sndfile", "mod_shout"):
        assert found[module].level is Level.PROBLEM
    assert not {"mod_http_cache", "mod_shout"} & examine(gone).keys()


def socket(listens: str, acl: str | None) -> str:
    """event_socket.conf as a node prints it."""
    lines = [("listen-ip", listens), ("password", "ClueCon"), *([("apply-inbound-acl", acl)] if acl else [])]
    params = "".join(f'<param name="{name}" value="{value}"></param>' for name, value in lines)
    return f'<configuration name="event_socket.conf"><settings>{params}</settings></configuration>\n'


@pytest.mark.parametrize("password", KNOWN_PASSWORDS)
@pytest.mark.parametrize(
    ("host", "reply", "level"),
    [
        ("127.0.0.1", socket("127.0.0.1", "lan"), Level.WARNING),
        ("127.0.0.1", socket("::", None), Level.WARNING),
        ("127.0.0.1", socket("::", "loopback.auto"), Level.WARNING),
        ("127.0.0.1", socket("0.0.0.0", "lan"), Level.PROBLEM),
        ("127.0.0.1", socket("10.0.0.9", "lan"), Level.PROBLEM),
        ("localhost", "can't find anything\n", Level.WARNING),
        ("10.0.0.9", "can't find anything\n", Level.PROBLEM),
        ("fs1.example", socket("0.0.0.0", "lan"), Level.PROBLEM),
    ],
)
def test_a_password_that_everybody_knows(host: str, reply: str, level: Level, password: str) -> None:
    """Beyond the node's own machine it is an open door; on it, as with `fsbridge simulate`, it may do."""
    (found,) = examine_password(NodeSettings(name="n", host=host, password=password), {SOCKET: reply}.__getitem__)
    assert found.level is level
    assert "event_socket.conf.xml" in found.change
    assert examine_password(NodeSettings(name="n", host=host, password="own"), {}.__getitem__) == []
