"""What the doctor reads out of real replies, and that it reads nothing out of others."""

from __future__ import annotations

import pytest

from fsbridge.doctor import replies
from fsbridge.doctor.replies import Gateway, Profile, Status
from tests.unit.doctor.recorded import ALL, PLAIN, PREPARED

pytestmark = pytest.mark.unit

SOFIA = "xml_locate configuration configuration name sofia.conf"


def test_recorded_replies_are_read() -> None:
    assert replies.read_version(PLAIN["version"]) == (1, 11, 3)
    assert replies.read_status(PLAIN["status"]) == Status(sessions=0, max_sessions=2000, max_rate=300)
    assert replies.read_profiles(PLAIN["sofia status"]) == {"external": Profile("RUNNING (0)")}
    gateway = Gateway("external", "UP", "NOREG", ping_s=0, answers=False, calls=0, failed=0)
    assert replies.read_gateway(PLAIN["sofia status gateway carrier"]) == gateway
    assert replies.read_gateway(PLAIN["sofia status gateway nosuch"]) is None


def test_a_profile_with_tls_has_two_rows() -> None:
    found = replies.read_profiles(PREPARED["sofia status"])
    assert found == {"fsbridge_test": Profile("RUNNING (0)"), "external": Profile("RUNNING (0)", tls=True)}
    assert found["external"].running


def test_a_gateway_before_and_after_it_was_asked() -> None:
    before, after = (replies.read_gateway(reply) for reply in ALL["sofia status gateway loop"])
    assert before is not None
    assert after is not None
    assert (before.status, before.ping_s, before.answers) == ("UP", 30, False)
    assert (after.status, after.ping_s, after.answers) == ("UP", 30, True)
    _, gone = (replies.read_gateway(reply) for reply in ALL["sofia status gateway carrier"])
    assert gone is not None
    assert (gone.status, gone.state, gone.answers) == ("DOWN", "NOREG", False)
    asking = ALL["sofia status gateway loop"][1].replace("Status  \tUP", "Status  \tUP (ping)")
    assert replies.read_gateway(asking) == after


def test_which_way_a_node_is_paused() -> None:
    # At the start, paused, paused for calls that come in, for ours.
    assert [replies.read_truth(each) for each in ALL["fsctl pause_check"]] == [False, True, False, False]
    assert [replies.read_truth(each) for each in ALL["fsctl pause_check outbound"]] == [False, True, False, True]
    assert [replies.read_truth(each) for each in ALL["fsctl pause_check inbound"]] == [False, True]


def test_configuration_as_a_node_prints_it() -> None:
    params = replies.read_profile_params(PREPARED[SOFIA], "external")
    assert params is not None
    assert replies.is_true(params["disable-transfer"])
    # Gateways stand in the profile too, with their passwords.
    assert not {"password", "username"} & params.keys()
    assert "disable-transfer" not in (
        replies.read_profile_params(PREPARED[SOFIA], "fsbridge_test") or {"disable-transfer"}
    )
    assert replies.read_profile_params(PREPARED[SOFIA], "internal") is None
    english = replies.read_language(PREPARED["xml_locate languages language name en"])
    assert english == ("en", "/opt/fs/sounds/en/us/flite")
    nothing = PREPARED["xml_locate languages language name de"]
    assert nothing == "can't find anything\n"
    for read in (replies.read_language, replies.read_socket, replies.read_rooms):
        assert read(nothing) is None
    assert replies.read_profile_params(nothing, "external") is None
    assert not replies.read_context(nothing)


def test_the_event_sockets_password_is_not_taken_along() -> None:
    params = '<param name="password" value="x"></param><param name="a" value="b"></param>'
    text = f"<configuration><settings>{params}</settings></configuration>"
    assert replies.read_socket(text) == {"a": "b"}


def test_files_and_variables() -> None:
    assert replies.read_truth(PREPARED["file_exists /opt/fs/sounds/en/us/flite/digits/8000/1.wav"]) is True
    assert replies.read_truth(PREPARED["file_exists /opt/fs/sounds/en/us/flite"]) is True
    assert replies.read_truth(PREPARED["file_exists /opt/fs/sounds/en/us/flite/digits/1.wav"]) is False
    assert replies.read_value(PREPARED["global_getvar sounds_dir"]) == "/opt/fs/sounds"
    assert replies.read_value(PREPARED["global_getvar nosuch"]) is None


@pytest.mark.parametrize(("value", "true"), [("true", True), ("Yes", True), ("1", True), ("0", False), ("", False)])
def test_what_freeswitch_takes_for_true(value: str, true: bool) -> None:
    assert replies.is_true(value) is true


@pytest.mark.parametrize(
    "text", ["", "-ERR status Command not found!\n", "UP 0 years\n", "\t\t\t\n\0", "<profile><param", "<a>&b;</a>"]
)
def test_other_texts_are_no_replies(text: str) -> None:
    assert replies.read_version(text) is None
    assert replies.read_status(text) is None
    assert replies.read_gateway(text) is None
    assert replies.read_truth(text) is None
    assert replies.read_profiles(text) == {}
    assert replies.read_profile_params(text, "external") is None
    assert replies.read_socket(text) is None
    assert replies.read_language(text) is None
    assert replies.read_rooms(text) is None
    assert not replies.read_context(text)
