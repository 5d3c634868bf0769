"""Flows on disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.monkey import get_original
from gevent.pool import Group

from fsbridge.flow.document.errors import FlowForeign, FlowInvalid, FlowMissing
from fsbridge.flow.document.source import MAX_BYTES
from fsbridge.flow.library import checker, files, shelf
from fsbridge.flow.library.entry import Expected, FlowBusy, FlowConflict, LibraryError, TooManyFlows
from fsbridge.flow.library.library import FlowLibrary
from fsbridge.model.ids import FlowId, OrgId
from fsbridge.model.json import Json
from fsbridge.settings.flows import FlowSettings

pytestmark = pytest.mark.unit

ORG = OrgId("22222222-2222-4222-8222-222222222222")
OTHER = OrgId("22222222-2222-4222-8222-222222222223")
FLOW = FlowId("33333333-3333-4333-8333-333333333333")
TEXT = "name: First\nsteps: [{id: a, pause: 1}]  # as written\n"
NEW = Expected()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ORG).mkdir()
    return tmp_path


def library(folder: Path, **settings: Any) -> FlowLibrary:
    return FlowLibrary(FlowSettings(dir=folder, tts_voice="kal", **settings))


def only(version: str) -> Expected:
    return Expected(frozenset({version}))


def test_it_can_be_made_ready_before_anybody_asks(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    class Watched(checker.Here):
        def value(self, who: str, text: str) -> Json:
            asked.append((who, text))
            raise FlowBusy("starting", 1.0)

    FlowLibrary(FlowSettings(dir=tmp_path), Watched()).warm()
    assert asked == [("", "{}")]


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
    other = folder / OTHER
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
    assert flows.find(ORG, FLOW).entry("") == 0


def test_the_cache_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "MAX_KEPT", 2_000)
    flows = library(folder)
    ids = [FlowId(f"33333333-3333-4333-8333-33333333333{number}") for number in range(3)]
    for flow in ids:
        (folder / ORG / f"{flow}.yaml").write_text("steps: [{id: a, pause: 1}]")
    first = flows.find(ORG, ids[0])
    assert flows.find(ORG, ids[0]) is first
    for flow in ids[1:]:
        flows.find(ORG, flow)
    assert flows.find(ORG, ids[0]) is not first


# -- written by callers --------------------------------------------------------------------------------------


def test_what_is_written_is_found_read_and_taken_away(folder: Path) -> None:
    flows = library(folder)
    made = flows.write(ORG, FLOW, TEXT, NEW, json=False)
    assert (made.flow_id, made.name, made.valid) == (FLOW, "First", True)
    document = flows.find(ORG, FLOW)
    assert document.version == made.version
    stored = flows.read(ORG, FLOW)
    assert (stored.text, stored.entry) == (TEXT, made)
    assert stored.value == {"name": "First", "steps": [{"id": "a", "pause": 1}]}
    path = folder / ORG / f"{FLOW}.yaml"
    assert made.updated_at == pytest.approx(path.stat().st_mtime)
    assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0
    flows.delete(ORG, FLOW, only(made.version))
    assert list((folder / ORG).iterdir()) == []
    with pytest.raises(FlowMissing):
        flows.read(ORG, FLOW)
    assert document.body.name == "First"  # what runs keeps its document


def test_the_first_flow_of_an_organization_makes_its_folder(tmp_path: Path) -> None:
    flows = library(tmp_path / "flows")
    assert flows.entries(ORG, "", 10) == []
    flows.write(ORG, FLOW, TEXT, NEW, json=False)
    assert [entry.flow_id for entry in flows.entries(ORG, "", 10)] == [FLOW]


def test_a_writer_who_is_mistaken_changes_nothing(folder: Path) -> None:
    flows = library(folder)
    for expected in (only("0" * 16), Expected(any=True)):
        with pytest.raises(FlowConflict) as caught:
            flows.write(ORG, FLOW, TEXT, expected, json=False)
        assert caught.value.current is None
    first = flows.write(ORG, FLOW, TEXT, NEW, json=False)
    for expected in (NEW, only("0" * 16)):
        with pytest.raises(FlowConflict) as caught:
            flows.write(ORG, FLOW, TEXT + "#", expected, json=False)
        assert caught.value.current == first.version
        with pytest.raises(FlowConflict):
            flows.delete(ORG, FLOW, expected)
    with pytest.raises(FlowMissing):
        flows.delete(ORG, FlowId("33333333-3333-4333-8333-333333333334"), only(first.version))
    assert flows.read(ORG, FLOW).entry == first
    second = flows.write(ORG, FLOW, TEXT + "#", only(first.version), json=False)
    assert second.version != first.version
    assert flows.write(ORG, FLOW, TEXT, Expected(any=True), json=False).version == first.version


def test_of_writers_at_once_who_saw_the_same_one_wins(folder: Path) -> None:
    flows = library(folder)
    first = flows.write(ORG, FLOW, TEXT, NEW, json=False)
    lost: list[FlowConflict] = []

    def write(number: int) -> None:
        try:
            flows.write(ORG, FLOW, f"{TEXT}# {number}", only(first.version), json=False)
        except FlowConflict as conflict:
            lost.append(conflict)

    writers = Group()
    for number in range(8):
        writers.spawn(write, number)
    with gevent.Timeout(10):
        writers.join()
    assert {conflict.current for conflict in lost} == {flows.read(ORG, FLOW).entry.version}
    assert len(lost) == 7


def test_nothing_invalid_is_written(folder: Path) -> None:
    flows = library(folder)
    for text in ("steps: 1", "\t:", "x" * (MAX_BYTES + 1)):
        with pytest.raises(FlowInvalid):
            flows.check(ORG, text)
        with pytest.raises(FlowInvalid):
            flows.write(ORG, FLOW, text, NEW, json=False)
    assert list((folder / ORG).iterdir()) == []
    assert flows.check(ORG, TEXT).defaults.voice == "kal"


@pytest.mark.parametrize("order", [(".yml", ".json"), (".json", ".yaml")])
def test_a_flow_that_changes_its_language_is_one_flow(folder: Path, order: tuple[str, str]) -> None:
    flows = library(folder)
    text = '{"steps": [{"id": "a", "pause": 1}]}'
    (folder / ORG / f"{FLOW}{order[0]}").write_text(text)
    made = flows.write(ORG, FLOW, text, Expected(any=True), json=order[1] == ".json")
    assert [path.name for path in (folder / ORG).iterdir()] == [f"{FLOW}{order[1]}"]
    assert flows.find(ORG, FLOW).version == made.version


def test_a_file_by_hand_keeps_its_suffix(folder: Path) -> None:
    (folder / ORG / f"{FLOW}.yml").write_text("steps: []")
    library(folder).write(ORG, FLOW, TEXT, Expected(any=True), json=False)
    assert [path.name for path in (folder / ORG).iterdir()] == [f"{FLOW}.yml"]


def test_every_file_of_a_flow_goes_with_it(folder: Path) -> None:
    for suffix in files.SUFFIXES:
        (folder / ORG / f"{FLOW}{suffix}").write_text(TEXT)
    library(folder).delete(ORG, FLOW, Expected(any=True))
    assert list((folder / ORG).iterdir()) == []


def test_another_s_flow_is_neither_read_nor_replaced(folder: Path) -> None:
    flows = library(folder)
    made = flows.write(OTHER, FLOW, TEXT, NEW, json=False)
    for work in (
        lambda: flows.read(ORG, FLOW),
        lambda: flows.write(ORG, FLOW, TEXT, NEW, json=False),
        lambda: flows.delete(ORG, FLOW, only(made.version)),
    ):
        with pytest.raises(FlowForeign):
            work()
    assert flows.read(OTHER, FLOW).entry == made


def test_the_list_has_pages_and_tells_of_faults(folder: Path) -> None:
    flows = library(folder)
    ids = [FlowId(f"33333333-3333-4333-8333-33333333333{number}") for number in range(5)]
    for flow in ids[:3]:
        flows.write(ORG, flow, TEXT, NEW, json=False)
    (folder / ORG / f"{ids[3]}.yaml").write_bytes(b"\xff")
    (folder / ORG / f"{ids[4]}.yaml").mkdir()
    (folder / ORG / "notes.yaml").write_text(TEXT)
    (folder / ORG / f".{ids[0]}.yaml.part").write_text("half")
    assert [entry.flow_id for entry in flows.entries(ORG, "", 2)] == ids[:2]
    rest = flows.entries(ORG, ids[1], 200)
    assert [(entry.flow_id, entry.name, entry.valid) for entry in rest] == [
        (ids[2], "First", True),
        (ids[3], "", False),
        (ids[4], "", False),
    ]
    assert "UTF-8" in rest[1].problems[0]
    assert flows.entries(ORG, ids[4], 5) == []


def test_what_stands_on_disk_and_is_no_yaml_is_read_as_text(folder: Path) -> None:
    (folder / ORG / f"{FLOW}.yaml").write_text("a: [")
    stored = library(folder).read(ORG, FLOW)
    assert (stored.text, stored.value, stored.entry.valid) == ("a: [", None, False)


def test_an_organization_s_flows_are_bounded(folder: Path) -> None:
    flows = library(folder, max_per_org=1)
    made = flows.write(ORG, FLOW, TEXT, NEW, json=False)
    with pytest.raises(TooManyFlows, match="1 flows"):
        flows.write(ORG, FlowId("33333333-3333-4333-8333-333333333334"), TEXT, NEW, json=False)
    flows.write(ORG, FLOW, TEXT + "#", only(made.version), json=False)


def test_a_disk_that_refuses_is_told(folder: Path) -> None:
    flows = library(folder)
    (folder / OTHER).write_text("a file where a folder should be")
    with pytest.raises(LibraryError, match=OTHER):
        flows.write(OTHER, FLOW, TEXT, NEW, json=False)
    (folder / ORG / f".{FLOW}.yaml.part").mkdir()
    with pytest.raises(LibraryError, match="directory"):
        flows.write(ORG, FLOW, TEXT, NEW, json=False)
    with pytest.raises(FlowMissing):
        flows.read(ORG, FLOW)


def test_a_large_document_is_read_beside_the_hub_and_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    parse = checker.parse

    def noted(text: str, *rest: Any) -> Any:
        threads.append(get_original("threading", "get_ident")())
        return parse(text, *rest)

    monkeypatch.setattr(checker, "parse", noted)
    (folder / ORG / f"{FLOW}.yaml").write_text(TEXT)
    flows = library(folder)
    assert flows.find(ORG, FLOW) is flows.find(ORG, FLOW)
    (thread,) = threads
    assert thread != get_original("threading", "get_ident")()


def test_what_goes_between_two_looks_is_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, flows = folder / ORG / f"{FLOW}.yaml", library(folder)
    path.write_text(TEXT)
    flows.find(ORG, FLOW)
    monkeypatch.setattr(files.Files, "own", lambda self, org, flow: [path])
    path.unlink()
    with pytest.raises(FlowMissing):
        flows.find(ORG, FLOW)


def test_a_folder_that_may_not_be_looked_into_makes_the_flow_unreadable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*rest: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(files.Files, "own", refuse)
    with pytest.raises(FlowInvalid, match="cannot be read"):
        library(folder).find(ORG, FLOW)
    with pytest.raises(LibraryError, match="Permission denied"):
        library(folder).read(ORG, FLOW)
