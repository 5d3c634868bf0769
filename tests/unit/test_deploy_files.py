"""freeswitch-conf/ and docker/: well-formed, and in agreement with each other and with the code."""

from __future__ import annotations

import re
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from fsbridge.settings import Settings, load, parse

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
CONF = ROOT / "freeswitch-conf"
DOCKER = ROOT / "docker"


def xml(name: str) -> ET.Element:
    return ET.parse(CONF / name).getroot()


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.xml")), ids=lambda path: path.name)
def test_every_piece_is_well_formed_and_named_in_the_readme(path: Path) -> None:
    assert ET.parse(path).getroot().tag in ("configuration", "include")
    assert str(path.relative_to(CONF)) in (CONF / "README.md").read_text()


def test_the_event_socket_is_closed_to_everybody_but_the_list() -> None:
    params = {p.get("name"): p.get("value") for p in xml("autoload_configs/event_socket.conf.xml").iter("param")}
    lists = {each.get("name"): each for each in xml("autoload_configs/acl.conf.xml").iter("list")}
    allowed = lists[params["apply-inbound-acl"]]
    assert allowed.get("default") == "deny"
    assert {node.get("cidr") for node in allowed} == {"127.0.0.1/32", "::1/128"}
    assert params["listen-ip"] == "127.0.0.1"
    assert params["password"] != "ClueCon"


def test_what_the_code_needs_is_loaded() -> None:
    modules = {load.get("module") for load in xml("autoload_configs/modules.conf.xml").iter("load")}
    assert modules >= {"mod_event_socket", "mod_sofia", "mod_commands", "mod_dptools", "mod_audio_fork", "mod_hash"}


def test_gateways_are_named_as_the_configurations_name_them() -> None:
    defined = {
        gateway.get("name")
        for name in ("carrier", "loop")
        for gateway in xml(f"sip_profiles/external/{name}.xml").iter("gateway")
    }
    example = parse(tomllib.loads((ROOT / "api" / "fsbridge.example.toml").read_text()))
    compose = compose_settings()
    used = {gateway for settings in (example, compose) for trunk in settings.trunks for gateway in trunk.gateways}
    assert used <= defined


@pytest.mark.parametrize(
    ("number", "extension"),
    [
        ("+15550100486", "fsbridge-test-busy"),
        ("+15550100603", "fsbridge-test-declined"),
        ("+15550100404", "fsbridge-test-unknown-number"),
        ("+15550100999", "fsbridge-test-rings-out"),
        ("+15550100329", "fsbridge-test-fax"),
        ("15550100222", "fsbridge-test-machine"),
        ("+15550100001", "fsbridge-test-person"),
        ("+4930123456", None),
    ],
)
def test_the_far_end_answers_the_readme_s_numbers(number: str, extension: str | None) -> None:
    matching = [
        each.get("name")
        for each in xml("dialplan/public/fsbridge_test.xml").iter("extension")
        for condition in each.iter("condition")
        if re.search(condition.get("expression", ""), number)
    ]
    assert (matching[0] if matching else None) == extension


def compose_settings() -> Settings:
    return load(DOCKER / "fsbridge.toml", {"FSBRIDGE_NODES__0__PASSWORD": "x"})


def test_the_composed_configuration_is_one() -> None:
    settings = compose_settings()
    assert settings.nodes[0].password.get_secret_value() == "x"
    assert settings.service.address == ("0.0.0.0", 8080)


def test_compose_names_what_exists_and_no_password() -> None:
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    assert set(compose["services"]) == {"freeswitch", "fsbridge"}
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith(".") and source != "./flows":
                assert (DOCKER / source).exists(), source
    command = compose["services"]["freeswitch"]["command"]
    assert command[command.index("--password") + 1].startswith("${EVENT_SOCKET_PASSWORD:?")
    assert (DOCKER / ".env.example").read_text().rstrip().endswith("EVENT_SOCKET_PASSWORD=")


def test_the_image_copies_every_package_and_runs_unprivileged() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    for package in ("fsbridge", "amd_model", "api", "training"):
        assert f"COPY {package} {package}" in text
        assert f"!{package}" in (DOCKER / "Dockerfile.dockerignore").read_text()
    assert re.search(r"^USER fsbridge$", text, re.MULTILINE)
