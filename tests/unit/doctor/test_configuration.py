"""The doctor on the configuration alone."""

from __future__ import annotations

import pytest

from fsbridge.doctor.configuration import examine_settings, examine_taps
from fsbridge.doctor.findings import Level
from fsbridge.settings.nodes import NodeSettings
from tests.unit.doctor.recorded import settings

pytestmark = pytest.mark.unit

ORG = "22222222-2222-4222-8222-222222222222"


@pytest.mark.parametrize(
    ("host", "amd", "level", "change"),
    [
        ("127.0.0.1", {}, Level.OK, ""),
        ("localhost", {"host": "0.0.0.0"}, Level.OK, ""),
        ("10.0.0.9", {}, Level.PROBLEM, "amd.advertise_host"),
        ("10.0.0.9", {"host": "0.0.0.0"}, Level.PROBLEM, "amd.advertise_host"),
        ("10.0.0.9", {"advertise_host": "10.0.0.5"}, Level.PROBLEM, "amd.host"),
        ("10.0.0.9", {"host": "0.0.0.0", "advertise_host": "10.0.0.5"}, Level.WARNING, "amd.base_port"),
        ("fs", {"host": "0.0.0.0", "advertise_host": "fsbridge", "base_port": 9200}, Level.OK, ""),
        ("10.0.0.9", {"host": "10.0.0.5", "base_port": 9200}, Level.OK, ""),
        ("10.0.0.9", {"workers": 0, "urls": ["ws://localhost:9201/amd"]}, Level.PROBLEM, "amd.urls"),
        ("10.0.0.9", {"workers": 0, "urls": ["ws://10.0.0.7:9201/amd"]}, Level.OK, ""),
    ],
)
def test_a_node_needs_workers_that_it_can_reach(host: str, amd: dict[str, object], level: Level, change: str) -> None:
    (found,) = examine_taps(NodeSettings(name="n", host=host), settings(amd=amd).amd)
    assert found.level is level
    assert change in found.change


def test_the_configuration_is_looked_at() -> None:
    key = "sha256:" + "0" * 64
    orgs = [{"id": ORG, "name": "A", "api_keys": [key]}, {"id": ORG[:-1] + "3", "name": "B"}]
    web = {"allow_http": True, "allow_private": True}
    found = examine_settings(settings(orgs=orgs, webhooks=web), {key})
    assert [(finding.level, finding.check) for finding in found] == [
        (Level.PROBLEM, "keys of A"),
        (Level.WARNING, "keys of B"),
        (Level.WARNING, "webhooks"),
        (Level.WARNING, "webhooks"),
    ]
    assert [finding.check for finding in examine_settings(settings())] == ["organizations", "webhooks"]
    good = examine_settings(settings(orgs=orgs[:1]))
    assert {finding.level for finding in good} == {Level.OK}
