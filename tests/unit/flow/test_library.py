"""Flows on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fsbridge.flow.errors import FlowForeign, FlowInvalid, FlowMissing
from fsbridge.flow.library import FlowLibrary
from fsbridge.flow.source import MAX_BYTES
from fsbridge.ids import FlowId, OrgId
from fsbridge.settings import FlowSettings

pytestmark = pytest.mark.unit

ORG = OrgId("22222222-2222-4222-8222-222222222222")
FLOW = FlowId("33333333-3333-4333-8333-333333333333")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ORG).mkdir()
    return tmp_path


def library(folder: Path) -> FlowLibrary:
    return FlowLibrary(FlowSettings(dir=folder, tts_voice="kal"))


def test_a_flow_is_found_and_read_again_when_it_changes(folder: Path) -> None:
    path, flows = folder / ORG / f"{FLOW}.yaml", library(folder)
    path.write_text("steps: [{id: a, pause: 1}]")
    first = flows.find(ORG, FLOW)
    assert flows.find(ORG, FLOW) is first
    assert first.defaults.voice == "kal"
    path.write_text("steps: [{id: a, pause: 1}, {id: b, pause: 2}]")
    os.utime(path, ns=(1, 1))
    assert len(flows.find(ORG, FLOW).body.steps) == 2


def test_json_is_yaml(folder: Path) -> None:
    (folder / ORG / f"{FLOW}.json").write_text('{"steps": [{"id": "a", "pause": 1}]}')
    assert library(folder).find(ORG, FLOW).places == {"a": 0}


def test_a_missing_flow_says_where_it_would_be(folder: Path) -> None:
    with pytest.raises(FlowMissing, match=FLOW):
        library(folder).find(ORG, FLOW)


def test_another_organization_s_flow_is_told_apart_from_none(folder: Path) -> None:
    other = folder / "22222222-2222-4222-8222-222222222223"
    other.mkdir()
    (other / f"{FLOW}.yaml").write_text("steps: [{id: a, pause: 1}]")
    with pytest.raises(FlowForeign, match="another organization"):
        library(folder).find(ORG, FLOW)


@pytest.mark.parametrize("flow", ["../../etc/passwd", "x", ""])
def test_no_id_leads_out_of_the_folder(folder: Path, flow: str) -> None:
    with pytest.raises(FlowMissing, match="UUID"):
        library(folder).find(ORG, FlowId(flow))


@pytest.mark.parametrize("data", [b"steps: 1", b"\xff\xfe", b"#" + b"x" * MAX_BYTES])
def test_a_broken_flow_is_told_each_time(folder: Path, data: bytes) -> None:
    (folder / ORG / f"{FLOW}.yaml").write_bytes(data)
    flows = library(folder)
    for _ in range(2):
        with pytest.raises(FlowInvalid, match=FLOW):
            flows.find(ORG, FLOW)


def test_what_cannot_be_read_is_told_and_tried_again(folder: Path) -> None:
    path, flows = folder / ORG / f"{FLOW}.yaml", library(folder)
    path.mkdir()
    with pytest.raises(FlowInvalid, match=r"cannot be read: Is a directory"):
        flows.find(ORG, FLOW)
    path.rmdir()
    path.write_text("steps: [{id: a, pause: 1}]")
    assert flows.find(ORG, FLOW).entry == 0


def test_the_cache_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsbridge.flow.library.MAX_CACHED", 2)
    flows = library(folder)
    ids = [FlowId(f"33333333-3333-4333-8333-33333333333{number}") for number in range(3)]
    for flow in ids:
        (folder / ORG / f"{flow}.yaml").write_text("steps: [{id: a, pause: 1}]")
    first = flows.find(ORG, ids[0])
    assert flows.find(ORG, ids[0]) is first
    for flow in ids[1:]:
        flows.find(ORG, flow)
    assert flows.find(ORG, ids[0]) is not first
