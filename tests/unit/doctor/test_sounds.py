"""The doctor on what flows play and say: what is not there makes no sound, and no event tells of it."""

from __future__ import annotations

import pytest

from fsbridge.doctor.findings import Level
from fsbridge.doctor.needs import FlowNeeds
from fsbridge.doctor.sounds import MOST, examine_sounds
from tests.unit.doctor.recorded import PREPARED, examine, settings

pytestmark = pytest.mark.unit

PREFIX = "/opt/fs/sounds/en/us/flite"
DIGITS, MONEY = ("en", "digits"), ("en", "money")
HAS_DIGITS = {f"file_exists {PREFIX}/digits": "true"}


def saying(*sayings: tuple[str, str]) -> FlowNeeds:
    return FlowNeeds(kinds=frozenset({"say"}), sayings=frozenset(sayings))


def playing(*files: str) -> FlowNeeds:
    return FlowNeeds(kinds=frozenset({"play"}), files=frozenset(files))


def test_sounds_that_say_steps_need() -> None:
    found = examine(HAS_DIGITS, saying(DIGITS, ("en", "number")))["sounds of en"]
    assert (found.level, found.text) == (Level.OK, f"digits in {PREFIX}")
    found = examine(HAS_DIGITS, saying(DIGITS, MONEY, ("en", "spelled")))["sounds of en"]
    assert found.level is Level.PROBLEM
    assert found.text.startswith(f"ascii, currency not in {PREFIX}")


def test_a_language_that_the_node_does_not_know() -> None:
    found = examine(HAS_DIGITS, saying(DIGITS, ("de", "date")))
    assert found["sounds of en"].level is Level.OK
    assert found["sounds of de"].level is Level.PROBLEM
    assert "lang/de/de.xml" in found["sounds of de"].change


def test_a_language_without_a_place_of_its_own_has_the_nodes() -> None:
    plain = {"xml_locate languages language name en": '<language name="en"></language>'} | HAS_DIGITS
    assert examine(plain, saying(DIGITS))["sounds of en"].level is Level.OK
    untold = plain | {"global_getvar sound_prefix": "-ERR no reply\n", "global_getvar sounds_dir": "-ERR no reply\n"}
    assert examine(untold, saying(DIGITS))["sounds of en"].level is Level.WARNING


def test_prompts_are_looked_for_as_freeswitch_looks_for_them() -> None:
    """A relative name is below the node's sounds, and every rate has a folder of its own."""
    found = examine(needs=playing("digits/1.wav"))["prompts"]
    assert PREPARED[f"file_exists {PREFIX}/digits/1.wav"] == "false"
    assert (found.level, found.text) == (Level.OK, "1 files are there")
    found = examine(needs=playing("digits/1.wav", "/srv/prompts/a.wav", "b.wav"))["prompts"]
    assert found.level is Level.PROBLEM
    assert f"not there: /srv/prompts/a.wav, {PREFIX}/b.wav;" in found.text


def test_many_missing_files_are_counted_and_not_all_asked_after() -> None:
    asked: list[str] = []

    def ask(command: str) -> str:
        asked.append(command)
        return "false"

    missing, left = examine_sounds("n", settings(), playing(*(f"/srv/{n:04}.wav" for n in range(MOST + 50))), ask)
    assert f"/srv/0004.wav and {MOST - 5} more;" in missing.text
    assert (left.level, left.text) == (Level.WARNING, f"50 of {MOST + 50} were not looked for")
    assert sum(command.startswith("file_exists ") for command in asked) == MOST * 5


def test_where_sounds_are_is_not_told() -> None:
    untold = {"global_getvar sound_prefix": "-ERR no reply\n", "global_getvar sounds_dir": "-ERR no reply\n"}
    found = examine(untold, playing("a.wav"))["prompts"]
    assert (found.level, "flows.prompts_dir" in found.change) == (Level.WARNING, True)


def test_the_folder_of_recordings() -> None:
    tables = {"flows": {"recordings_dir": "/srv/rec/"}}
    records = FlowNeeds(kinds=frozenset({"record"}))
    assert "recordings" not in examine(**tables)
    assert examine(needs=records, **tables)["recordings"].level is Level.WARNING
    assert examine({"file_exists /srv/rec": "true"}, records, **tables)["recordings"].level is Level.OK


CONFERENCE = "xml_locate configuration configuration name conference.conf"
KNOWN = '<configuration name="conference.conf"><profiles><profile name="default"></profile></profiles></configuration>'


@pytest.mark.parametrize(
    ("reply", "profile", "level"),
    [
        (KNOWN, "default", Level.OK),
        (KNOWN, "wide", Level.WARNING),
        ("can't find anything\n", "default", Level.WARNING),
    ],
)
def test_a_room_of_an_unknown_profile_is_made_without_any(reply: str, profile: str, level: Level) -> None:
    found = examine({CONFERENCE: reply}, FlowNeeds(rooms=frozenset({profile})))["conferences"]
    assert found.level is level


def test_transfers_lead_to_contexts_that_the_dialplan_has() -> None:
    needs = FlowNeeds(contexts=frozenset({"public", "sales"}))
    found = examine({"xml_locate dialplan context name public": '<context name="public"></context>'}, needs)
    assert found["transfers"].text.startswith("the dialplan's files have no context sales")
