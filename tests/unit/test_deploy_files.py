"""freeswitch-conf/ and docker/: well-formed, and in agreement with each other, the simulator and the code."""

from __future__ import annotations

import re
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.cli.serve import EXAMPLE_KEY_HASH
from fsbridge.call.lifecycle import arrivals
from fsbridge.doctor import node as doctor
from fsbridge.doctor import replies
from fsbridge.doctor.configuration import examine_taps
from fsbridge.doctor.findings import Level
from fsbridge.doctor.needs import FlowNeeds
from fsbridge.doctor.sip import PING_S
from fsbridge.settings.dialing import DialingSettings
from fsbridge.settings.reading import load, parse
from fsbridge.settings.whole import Settings
from fsbridge.simulator.farends.book_file import default_book

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
CONF = ROOT / "freeswitch-conf"
DOCKER = ROOT / "docker"
PIECES = sorted(CONF.rglob("*.xml"))

NOT_IN_SIMULATOR = {"+15550100020", "+15550100099"}


def xml(name: str) -> ET.Element:
    return ET.parse(CONF / name).getroot()


def params(element: ET.Element) -> dict[str, str]:
    return {each.attrib["name"]: each.attrib["value"] for each in element.iter("param")}


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return loaded


def compose_settings() -> Settings:
    return load(DOCKER / "fsbridge.toml", {"FSBRIDGE_NODES__0__PASSWORD": "x"})


# --- freeswitch-conf -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PIECES, DOCKER / "freeswitch" / "fsbridge.xml"], ids=lambda path: path.name)
def test_every_piece_is_well_formed(path: Path) -> None:
    root = ET.parse(path).getroot()
    assert root.tag in ("configuration", "include", "profile")
    if root.tag == "configuration":
        assert f"{root.get('name')}.xml" == path.name
    for each in root.iter("param"):
        assert set(each.attrib) == {"name", "value"}


def test_the_readme_has_a_row_for_every_piece_and_no_other() -> None:
    rows = re.findall(r"^\| `([^`]+\.xml)` \|", (CONF / "README.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(str(path.relative_to(CONF)) for path in PIECES)


def test_the_event_socket_is_closed_to_everybody_but_the_list() -> None:
    socket = params(xml("autoload_configs/event_socket.conf.xml"))
    lists = {each.get("name"): each for each in xml("autoload_configs/acl.conf.xml").iter("list")}
    allowed = lists[socket["apply-inbound-acl"]]
    assert allowed.get("default") == "deny"
    assert {node.get("cidr") for node in allowed} == {"127.0.0.1/32", "::1/128"}
    assert socket["listen-ip"] == "127.0.0.1"
    assert socket["password"] in doctor.KNOWN_PASSWORDS  # so that nobody gets away with leaving it


def test_every_module_that_the_doctor_asks_for_is_loaded() -> None:
    modules = {load.get("module") for load in xml("autoload_configs/modules.conf.xml").iter("load")}
    example = parse(tomllib.loads((ROOT / "api" / "fsbridge.example.toml").read_text()))
    asked: list[str] = []

    def ask(command: str) -> str:
        asked.append(command)
        return ""

    every = frozenset(("play", "pause", "conference", "transfer", "record"))
    needs = FlowNeeds(
        every, frozenset(), web_prompts=True, sayings=frozenset({("en", "digits")}), files=frozenset({"hello.wav"})
    )
    doctor.examine_node(example.nodes[0], example, needs, ask)
    wanted = {command.split()[1] for command in asked if command.startswith("module_exists ")}
    assert len(wanted) > 7
    assert wanted | {"mod_event_socket", "mod_dialplan_xml"} <= modules


@pytest.mark.parametrize("path", [CONF / "sip_profiles" / "external.xml", DOCKER / "freeswitch" / "fsbridge.xml"])
def test_far_ends_cannot_transfer_calls_of_our_profiles(path: Path) -> None:
    """As FreeSWITCH prints a profile, the doctor has nothing to say."""
    profile = ET.parse(path).getroot()
    name = str(profile.get("name"))
    printed = f"<configuration><profiles>{ET.tostring(profile, encoding='unicode')}</profiles></configuration>"
    given = replies.read_profile_params(printed, name)
    assert given is not None
    assert replies.is_true(given["disable-transfer"])
    (gateways,) = profile.iter("X-PRE-PROCESS")
    assert gateways.attrib == {"cmd": "include", "data": "external/*.xml"}
    # On a line of its own, or FreeSWITCH does not see it.
    assert '\n    <X-PRE-PROCESS cmd="include" data="external/*.xml"/>\n' in path.read_text()


def test_calls_that_come_in_wait_as_long_for_a_silent_far_end_as_those_that_go_out() -> None:
    given = params(xml("sip_profiles/external.xml"))
    assert int(given["rtp-timeout-sec"]) == DialingSettings().media_timeout_s
    assert int(given["rtp-hold-timeout-sec"]) == DialingSettings().media_hold_timeout_s


def test_the_limits_are_not_what_the_doctor_calls_low() -> None:
    limits = params(xml("autoload_configs/switch.conf.xml"))
    assert int(limits["max-sessions"]) >= doctor.LOW_SESSIONS
    assert int(limits["sessions-per-second"]) >= doctor.LOW_RATE


def test_gateways_are_named_as_files_and_configurations_name_them_and_are_pinged() -> None:
    gateways = {
        path.stem: next(ET.parse(path).getroot().iter("gateway"))
        for path in (CONF / "sip_profiles" / "external").glob("*.xml")
    }
    for name, gateway in gateways.items():
        assert gateway.get("name") == name
        assert int(params(gateway)["ping"]) == PING_S  # what the doctor would tell to write
        assert {"proxy", "username", "password", "register"} <= set(params(gateway))
    example = parse(tomllib.loads((ROOT / "api" / "fsbridge.example.toml").read_text()))
    used = {name for settings in (example, compose_settings()) for trunk in settings.trunks for name in trunk.gateways}
    assert used <= set(gateways)


# --- the test far end ----------------------------------------------------------------------------------------------


def test_the_loop_leads_to_the_test_far_end_which_only_this_machine_reaches() -> None:
    profile = params(xml("sip_profiles/fsbridge_test.xml"))
    assert profile["sip-ip"] == profile["rtp-ip"] == "127.0.0.1"
    assert params(xml("sip_profiles/external/loop.xml"))["proxy"] == f"127.0.0.1:{profile['sip-port']}"
    contexts = [context.get("name") for context in xml("dialplan/fsbridge_test.xml").iter("context")]
    assert contexts == [profile["context"]]


def extension(number: str) -> str:
    """The extension that FreeSWITCH takes for a number: the first whose condition holds."""
    for each in xml("dialplan/fsbridge_test.xml").iter("extension"):
        (condition,) = each.iter("condition")
        if re.search(condition.get("expression", ""), number):
            return str(each.get("name"))
    raise AssertionError(f"no extension for {number}")


def readme_numbers() -> list[str]:
    return re.findall(r"`(\+1555\d+)`", (CONF / "README.md").read_text())


@pytest.mark.parametrize("number", readme_numbers())
def test_the_numbers_of_the_readme_are_those_of_the_simulator(number: str) -> None:
    name = extension(number)
    assert name == extension(number.removeprefix("+")) != "anything_else"
    if number in NOT_IN_SIMULATOR:
        return
    simulated = default_book().find(number)
    assert simulated is not None
    assert name.removeprefix("live_") == simulated.name.removeprefix("live_")


def test_every_far_end_is_in_the_readme() -> None:
    names = {each.get("name") for each in xml("dialplan/fsbridge_test.xml").iter("extension")}
    assert {extension(number) for number in readme_numbers()} == names - {"anything_else"}
    assert extension("+4930123456") == extension("+155501000011") == "anything_else"


def handed_over(name: str) -> list[tuple[str, str]]:
    """Extensions that hand a call over: what each sets our variable to, and its expression."""
    found = []
    for each in xml(name).iter("extension"):
        (condition,) = each.iter("condition")
        steps = [(action.get("application"), action.get("data", "")) for action in condition]
        if (steps[0][1] or "").startswith(f"{arrivals.MARK}="):
            assert [step[0] for step in steps] == ["set", "park"]  # not answered, and nothing after park
            found.append((str(steps[0][1]).partition("=")[2], condition.get("expression", "")))
    return found


def test_calls_that_come_in_are_marked_so_that_they_are_recognised() -> None:
    pieces = handed_over("dialplan/public/fsbridge_inbound.xml") + handed_over("dialplan/fsbridge_test.xml")
    assert [key for key, _ in pieces] == ["main", "trial"]
    for key, expression in pieces:
        (number,) = re.findall(r"\d{11}", expression)
        headers = {
            "Unique-ID": "d85c71b1-eeb7-49ab-b547-0ac40d3bd566",
            "Call-Direction": "inbound",
            "Caller-Destination-Number": f"+{number}",
            f"variable_{arrivals.MARK}": key,
        }
        call = arrivals.read(headers)
        assert call is not None
        assert (call.key, call.number) == (key, f"+{number}")
        assert re.search(expression, call.number)


def test_the_example_s_inbound_number_is_the_dialplan_s() -> None:
    example = (ROOT / "api" / "fsbridge.example.toml").read_text()
    (number,) = re.findall(r'^# number = "\+(\d+)"', example, re.MULTILINE)
    (piece,) = handed_over("dialplan/public/fsbridge_inbound.xml")
    assert re.search(piece[1], number)


# --- docker --------------------------------------------------------------------------------------------------------


def test_the_configuration_of_compose_is_one_that_the_service_takes() -> None:
    settings = compose_settings()
    assert settings.nodes[0].password.get_secret_value() == "x"
    assert not any(EXAMPLE_KEY_HASH in org.api_keys for org in settings.orgs)
    profile = ET.parse(DOCKER / "freeswitch" / "fsbridge.xml").getroot()
    assert profile.get("name") == settings.nodes[0].sip_profile
    (tap,) = examine_taps(settings.nodes[0], settings.amd)
    assert tap.level is Level.OK


def test_compose_names_what_exists_and_no_password() -> None:
    services = compose()["services"]
    assert set(services) == {"freeswitch", "fsbridge"}
    for service in services.values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith(".") and source != "./flows":  # the reader's own, see the README
                assert (DOCKER / source).exists(), source
    command = services["freeswitch"]["command"]
    password = command[command.index("--password") + 1]
    assert password == services["fsbridge"]["environment"]["FSBRIDGE_NODES__0__PASSWORD"]
    (variable,) = re.findall(r"^\$\{(\w+):\?[^}]+\}$", password)
    assert f"\n{variable}=\n" in (DOCKER / ".env.example").read_text()


def test_compose_mounts_what_the_configuration_names() -> None:
    service = compose()["services"]["fsbridge"]
    mounts = {volume.split(":")[1]: volume.split(":")[0] for volume in service["volumes"]}
    settings = compose_settings()
    assert str(settings.flows.dir) in mounts
    assert str(settings.service.data_dir.parent) in mounts
    assert mounts[str(settings.service.data_dir.parent)] in compose()["volumes"]
    dockerfile = (DOCKER / "Dockerfile").read_text()
    assert mounts["/etc/fsbridge/fsbridge.toml"] == "./fsbridge.toml"
    assert '"--config", "/etc/fsbridge/fsbridge.toml"' in dockerfile
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert f":{settings.service.address[1]}/readyz" in service["healthcheck"]["test"][-1]
    assert int(service["stop_grace_period"].removesuffix("s")) > settings.service.drain_timeout_s


def test_the_image_copies_every_package_and_runs_unprivileged() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    copied = [name for line in re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE) for name in line.split()]
    assert {"fsbridge", "amd_model", "api", "training", "pyproject.toml"} <= set(copied)
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == ["fsbridge"]
    assert re.search(r"^ARG EXTRA_INDEX_URL=\"\"$", text, re.MULTILINE)
    assert "://" not in text.replace("http://127.0.0.1", "")


def test_the_readme_s_example_flow_is_for_the_configured_organization() -> None:
    readme = (DOCKER / "README.md").read_text()
    (source,) = re.findall(r"cp (\.\./\S+\.yaml) ", readme)
    assert (DOCKER / source).exists()
    assert f"flows/{compose_settings().orgs[0].id}/" in readme
