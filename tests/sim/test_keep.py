"""Keeping the answers of whole calls: from the configuration through a call to a file that a person can label."""

from __future__ import annotations

import fcntl
import json
import os
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.sim.stack import Stack, running, settings, simulated_node, until

pytestmark = pytest.mark.sim

KEPT_S = 3.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("keep")
    amd = {"keep_audio_s": KEPT_S, "keep_audio_dir": str(folder / "answers"), "keep_audio_consent": True}
    with simulated_node() as simulator, running(settings(folder, simulator.port, amd=amd), simulator) as whole:
        yield whole


def answers(stack: Stack) -> Path:
    folder = stack.service.settings.amd.keep_audio_dir
    assert folder is not None
    return folder


def kept(stack: Stack, session_id: str) -> tuple[float, dict[str, object]]:
    """Seconds of the recording, and the detector's opinion of it."""
    path = answers(stack) / f"{session_id}.wav"
    until(path.exists)
    with wave.open(str(path)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 8_000)
        seconds = sound.getnframes() / 8_000
        assert any(sound.readframes(sound.getnframes())), "silence only"
    opinion: dict[str, object] = json.loads(path.with_suffix(".json").read_text())
    return seconds, opinion


def test_a_persons_answer_is_kept_under_the_calls_id(stack: Stack) -> None:
    resource = stack.place("+15550100001", mode="sync", callAnalysis=["live_person"]).json()
    assert (resource["status"], resource["callAnalysisResult"]) == ("Completed", "live_person"), resource
    seconds, opinion = kept(stack, resource["sessionId"])
    details = resource["callAnalysisDetails"]
    assert 0 < seconds <= KEPT_S
    assert seconds > details["decidedAfterMs"] / 1000 - 0.1, "the judged part at least"
    assert opinion["callId"] == resource["sessionId"]
    assert (opinion["result"], opinion["decidedAtMs"]) == ("live_person", details["decidedAfterMs"])
    assert (opinion["reason"], opinion["modelVersion"]) == (details["reason"], details["modelVersion"])


def test_an_answer_that_is_hung_up_on_is_kept_as_far_as_it_went(stack: Stack) -> None:
    resource = stack.place("+15550100003", mode="sync", callAnalysis=["live_person"]).json()
    assert resource["failureReason"] == "fax", resource
    seconds, opinion = kept(stack, resource["sessionId"])
    assert 0 < seconds <= KEPT_S
    assert opinion["result"] == "fax"


def test_a_recording_goes_on_into_the_flow_until_it_is_full(stack: Stack) -> None:
    answer = stack.place("+15550100001", callAnalysis=["live_person"], variables={"name": "a" * 1_900})
    seconds, opinion = kept(stack, answer.json()["sessionId"])
    assert (seconds, opinion["seconds"], opinion["result"]) == (KEPT_S, KEPT_S, "live_person")


def test_a_call_without_analysis_is_not_recorded(stack: Stack) -> None:
    plain = stack.place("+15550100001", mode="sync").json()
    assert plain["status"] == "Completed"
    analysed = stack.place("+15550100001", mode="sync", callAnalysis=["live_person"]).json()
    kept(stack, analysed["sessionId"])
    assert not list(answers(stack).glob(f"*{plain['sessionId']}*"))


def test_recordings_go_when_their_time_is_over(stack: Stack) -> None:
    resource = stack.place("+15550100001", mode="sync", callAnalysis=["live_person"]).json()
    kept(stack, resource["sessionId"])
    fresh, old = answers(stack) / f"{resource['sessionId']}.wav", answers(stack) / "an-old-call.wav"
    old.write_bytes(fresh.read_bytes())
    month_ago = stack.service.clock.wall() - 31 * 86_400
    os.utime(old, (month_ago, month_ago))
    with capture_logs() as lines:
        stack.service._purge_recordings()
    assert (old.exists(), fresh.exists()) == (False, True)
    assert {"event": "recordings_purged", "recordings": 1, "log_level": "info"} in lines
    with (answers(stack) / ".labels.lock").open("a") as other, capture_logs() as lines:
        fcntl.flock(other, fcntl.LOCK_EX)
        stack.service._purge_recordings()
    assert [line["event"] for line in lines] == ["recordings_not_purged"]


def test_without_consent_in_the_configuration_nothing_is_recorded(tmp_path: Path) -> None:
    amd = {"keep_audio_dir": str(tmp_path / "answers")}
    with simulated_node() as simulator, running(settings(tmp_path, simulator.port, amd=amd), simulator) as plain:
        resource = plain.place("+15550100001", mode="sync", callAnalysis=["live_person"]).json()
        assert resource["callAnalysisResult"] == "live_person"
    assert not (tmp_path / "answers").exists()
