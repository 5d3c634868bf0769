"""What a simulated node tells of its configuration and files, held to what a real one told (doctor_queries)."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsbridge.doctor import replies
from fsbridge.simulator.farends.dialplan import STOCK, Extension
from tests.sim.simulator_helpers import bench
from tests.unit.doctor.recorded import PREPARED

pytestmark = pytest.mark.sim

SOFIA = "xml_locate configuration configuration name sofia.conf"
SAME = (
    "global_getvar nosuch",
    "file_exists",
    "file_exists /opt/fs/sounds/en/us/flite/nothing",
    "module_exists mod_say_en",
    "module_exists mod_say_de",
    "xml_locate configuration configuration name nosuch.conf",
    "xml_locate languages language name de",
    "sofia status gateway nosuch",
)


@pytest.mark.parametrize("command", SAME)
def test_the_same_replies_byte_for_byte(command: str) -> None:
    with bench() as b:
        assert b.client.api(command) == PREPARED[command]


def test_the_rest_is_read_alike() -> None:
    with bench(tls=True) as b:
        ask = b.client.api
        real = replies.read_profiles(PREPARED["sofia status"])["external"]
        assert replies.read_profiles(ask("sofia status"))["external"] == real
        params = replies.read_profile_params(ask(SOFIA), "external")
        assert params is not None
        assert replies.is_true(params["disable-transfer"])
        module, prefix = replies.read_language(ask("xml_locate languages language name en")) or ("", None)
        assert (module, prefix is not None) == ("en", True)
        assert replies.read_truth(ask(f"file_exists {prefix}/digits")) is True
        assert (replies.read_value(ask("global_getvar sounds_dir")) or "").startswith("/")
        assert "sounds_dir=" in ask("global_getvar")
        assert replies.read_rooms(ask("xml_locate configuration configuration name conference.conf")) == {"default"}


def test_what_the_settings_decide(tmp_path: Path) -> None:
    (tmp_path / "here.wav").write_bytes(b"RIFF")
    dialplan = STOCK.with_first(Extension(("1",), (("hangup", ""),), context="sales"))
    with bench(transferable=True, say_sounds=False, sounds=str(tmp_path), dialplan=dialplan, profiles=("a", "b")) as b:
        ask = b.client.api
        for profile in ("a", "b"):
            assert (replies.read_profile_params(ask(SOFIA), profile) or {})["disable-transfer"] == "false"
        assert replies.read_value(ask("global_getvar sounds_dir")) == str(tmp_path)
        assert replies.read_truth(ask(f"file_exists {tmp_path}/here.wav")) is True
        _, prefix = replies.read_language(ask("xml_locate languages language name en")) or ("", None)
        assert replies.read_truth(ask(f"file_exists {prefix}/digits")) is False
        assert replies.read_context(ask("xml_locate dialplan context name sales"))
        assert replies.read_context(ask("xml_locate dialplan context name public"))
        assert not replies.read_context(ask("xml_locate dialplan context name nowhere"))
        socket = replies.read_socket(ask("xml_locate configuration configuration name event_socket.conf"))
        assert socket is not None
        assert socket["listen-ip"] == "127.0.0.1"
