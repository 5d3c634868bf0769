"""Collections in their published layout → a manifest; what is missing is named."""

import json
import sys

import numpy as np
import pytest
import soundfile

from tests.unit.training.sounds import voice
from training.__main__ import main as training
from training.corpus import audio, importers
from training.corpus.manifest import ManifestError, read

pytestmark = pytest.mark.unit


def put(path, seconds=0.6, rate=8_000, channels=1, seed=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    said = voice(seconds, seed, 120)
    said = np.interp(np.arange(int(len(said) * rate / 8_000)) * 8_000 / rate, np.arange(len(said)), said)
    if channels == 2:
        said = np.stack((np.zeros_like(said), said), axis=1)
    soundfile.write(path, said, rate, subtype="PCM_16")
    return path


def test_recordings_in_folders_with_the_far_channel(tmp_path):
    put(tmp_path / "calls/live_person/a.wav", rate=44_100, channels=2)
    put(tmp_path / "calls/fax/b.wav")
    code = training(
        ["import", "recordings", "--root", str(tmp_path / "calls"), "--channel", "1", "--out", str(tmp_path / "o")]
    )
    assert code == 1, "a mono file has no second channel; the other is taken"
    assert [clip.kind for clip in read(tmp_path / "o/manifest.tsv")] == ["call:live_person"]
    code = training(["import", "recordings", "--root", str(tmp_path / "calls"), "--out", str(tmp_path / "out")])
    assert code == 0
    clips = read(tmp_path / "out/manifest.tsv")
    assert [clip.kind for clip in clips] == ["call:fax", "call:live_person"]
    copied, rate = soundfile.read(clips[1].file)
    assert (rate, copied.ndim) == (8_000, 1)
    assert abs(len(copied) - 4_800) < 20


def test_a_recording_is_known_by_its_content(tmp_path):
    """Named as another is or twice there, relabelled or renamed: what was held out stays so."""
    for name, seed in (("live_person/a.wav", 1), ("fax/a.wav", 2), ("unknown/b/a.wav", 3), ("unknown/c/a.wav", 3)):
        put(tmp_path / name, seed=seed)
    fax, person, one, again = importers.recordings(tmp_path, None)
    assert len({fax.speaker, person.speaker, one.speaker}) == 3
    assert (again.speaker, again.split) == (one.speaker, one.split)
    (tmp_path / "labels.csv").write_text("file,label\nfax/a.wav,unknown\n")
    (relabelled,) = importers.recordings(tmp_path, tmp_path / "labels.csv")
    assert (relabelled.speaker, relabelled.split) == (fax.speaker, fax.split)


def test_recordings_by_list(tmp_path):
    put(tmp_path / "a.wav")
    labels = tmp_path / "labels.csv"
    labels.write_text("file,label,speaker,split\na.wav,unknown,s,dev\n")
    (clip,) = importers.recordings(tmp_path, labels)
    assert (clip.kind, clip.speaker, clip.split) == ("call:unknown", "s", "dev")
    for row, words in (("a.wav,nobody,,", "line 2: unknown label"), ("c.wav,fax,,", "line 2: no such file")):
        labels.write_text("file,label,speaker,split\n" + row + "\n")
        with pytest.raises(ManifestError, match=words):
            list(importers.recordings(tmp_path, labels))


def test_unknown_folder(tmp_path):
    (tmp_path / "maybe").mkdir()
    with pytest.raises(ManifestError, match="'maybe' is no verdict"):
        list(importers.recordings(tmp_path, None))


def test_prompts(tmp_path):
    put(tmp_path / "sounds/a.wav")
    listing = tmp_path / "prompts.tsv"
    head = "package\tfile\tclass\tlanguage\ttext\trole\tseconds\n"
    listing.write_text(head + "p\tsounds/a.wav\tmachine\tit\tCiao.\tfragment\t0.6\n")
    (clip,) = importers.prompts(listing, tmp_path)
    assert (clip.kind, clip.split, clip.speaker, clip.language) == ("fragment", "dev", "prompt-it", "it")
    listing.write_text(head + "p\tsounds/a.wav\tmachine\tit\t[Hello.]\tfragment\t0.6\n")
    (clip,) = importers.prompts(listing, tmp_path)
    assert clip.language == "", "what is said is not known where only a translation is"
    listing.write_text(head + "p\tsounds/b.wav\tmachine\ten\tHi.\tsentence\t0.6\n")
    with pytest.raises(ManifestError, match="install the Debian package p"):
        list(importers.prompts(listing, tmp_path))


def test_speechocean(tmp_path):
    for part in ("train", "test"):
        put(tmp_path / f"WAVE/S{part}/u.wav")
        (tmp_path / part).mkdir()
        (tmp_path / part / "wav.scp").write_text(f"u{part}\tWAVE/S{part}/u.wav\n")
        (tmp_path / part / "text").write_text(f"u{part}\tWE CALL IT BEAR\n")
        (tmp_path / part / "utt2spk").write_text(f"u{part} 00{part}\n")
    train, test = importers.speechocean(tmp_path)
    assert train.split in ("train", "dev")
    assert (test.split, test.text, test.language, test.kind) == ("test", "WE CALL IT BEAR", "en", "speech")


def test_harper_valley_layout(tmp_path):
    for side in ("agent", "caller"):
        put(tmp_path / f"data/audio/{side}/c1.wav")
    (tmp_path / "data/metadata").mkdir()
    body = {"agent": {"speaker_id": 3}, "caller": {"speaker_id": 4}}
    (tmp_path / "data/metadata/c1.json").write_text(json.dumps(body))
    assert [clip.speaker for clip in importers.harper_valley(tmp_path)] == ["hv-3", "hv-4"]
    (tmp_path / "data/audio/agent/c1.wav").unlink()
    with pytest.raises(ManifestError, match="no such file"):
        list(importers.harper_valley(tmp_path))


def test_robocall_layout(tmp_path):
    put(tmp_path / "audio-wav-16khz/1.wav", rate=16_000)
    listing = tmp_path / "metadata.csv"
    listing.write_text("file_name,transcript\naudio-wav-16khz/1.wav,hello\n")
    (clip,) = importers.robocalls(tmp_path)
    assert (clip.kind, clip.text) == ("machine", "hello")
    listing.write_text("file_name,transcript\nno.wav,hello\n")
    with pytest.raises(ManifestError, match=r"no such file no\.wav"):
        list(importers.robocalls(tmp_path))


def test_any_tts_command(tmp_path):
    script = tmp_path / "say.py"
    script.write_text(
        "import sys, wave\nw = wave.open(sys.argv[1], 'wb'); w.setnchannels(1); w.setsampwidth(2)\n"
        "w.setframerate(8000); w.writeframes(b'\\x00\\x20\\x00\\xe0' * 2000); w.close()\nassert sys.argv[2] == '-v'\n"
    )
    texts = tmp_path / "texts.tsv"
    texts.write_text("live\tHello?\nmachine\tLeave a message; $(date)\n")
    command = f"{sys.executable} {script} {{out}} {{voice}} {{text}}"
    clips = list(importers.spoken(command, ["-v 1", ""], texts, tmp_path / "out", "train", "tts"))
    assert [clip.kind for clip in clips] == ["live", "machine"]
    assert clips[1].text == "Leave a message; $(date)"
    assert clips[0].synthetic
    script.write_text("raise SystemExit('no such voice')")
    with pytest.raises(ManifestError, match=r"line 1: .*no such voice"):
        list(importers.spoken(command, ["v"], texts, tmp_path / "again", "train", "tts"))
    with pytest.raises(ManifestError, match=r"needs \{text\}"):
        list(importers.spoken("say", ["v"], texts, tmp_path, "train", "tts"))


def test_what_is_no_audio_is_refused_and_silence_left_out(tmp_path, capsys):
    (tmp_path / "x.wav").write_text("not audio")
    with pytest.raises(ManifestError, match=r"x\.wav: not readable"):
        audio.load_audio(tmp_path / "x.wav")
    (tmp_path / "calls/fax").mkdir(parents=True)
    soundfile.write(tmp_path / "calls/fax/s.wav", np.zeros(8_000), 8_000)
    put(tmp_path / "calls/live_person/p.wav", channels=2)
    (tmp_path / "calls/unknown").mkdir()
    soundfile.write(tmp_path / "calls/unknown/dead.wav", np.zeros(8_000), 8_000)
    soundfile.write(tmp_path / "calls/unknown/empty.wav", np.zeros(0), 8_000)
    assert training(["import", "recordings", "--root", str(tmp_path / "calls"), "--out", str(tmp_path / "out")]) == 0
    kinds = [clip.kind for clip in read(tmp_path / "out/manifest.tsv")]
    assert kinds == ["call:live_person", "call:unknown"], "a dead line is an answer that detectors meet"
    said = capsys.readouterr().out
    assert "left out, without a sound: 2 (s.wav, empty.wav)\n" in said
    assert "channels mixed: 1 " in said
    arguments = ["recordings", "--root", str(tmp_path / "calls"), "--channel", "0", "--out", str(tmp_path / "near")]
    assert training(["import", *arguments]) == 0
    said = capsys.readouterr().out
    assert "left out, without a sound (is channel 0 the far end's?): 3 (s.wav, p.wav, empty.wav)\n" in said


def test_what_cannot_be_read_is_named_and_the_others_are_taken(tmp_path, capsys):
    folder = tmp_path / "calls/live_person"
    folder.mkdir(parents=True)
    sound = voice(0.6, 1, 120)
    soundfile.write(folder / "a.wav", sound, 8_000, subtype="GSM610")
    soundfile.write(folder / "b.gsm", sound, 8_000, format="RAW", subtype="GSM610")
    soundfile.write(folder / "c.AU", sound, 8_000, format="AU", subtype="G721_32")
    (folder / "d.m4a").write_bytes(b"\0\0\0\x20ftypM4A ")
    (folder / "e.wav").write_text("no sound")
    (folder / "e.json").write_text("{}")
    (folder / ".labels.lock").write_text("")
    arguments = ["import", "recordings", "--root", str(tmp_path / "calls"), "--out", str(tmp_path / "out")]
    assert training(arguments) == 1
    assert len(read(tmp_path / "out/manifest.tsv")) == 3
    said = capsys.readouterr().out
    assert "left out, not readable: 2\n  d.m4a: not readable as audio: format not recognised\n  e.wav: not" in said
    assert "3 clips in " in said
    for name in ("a.wav", "b.gsm", "c.AU"):
        (folder / name).unlink()
    assert training([*arguments[:-1], str(tmp_path / "none")]) == 2
    assert "there is no clip to take" in capsys.readouterr().err
    assert not (tmp_path / "none/manifest.tsv").exists()


def test_what_has_no_header_is_what_the_caller_says(tmp_path):
    (tmp_path / "calls/fax").mkdir(parents=True)
    soundfile.write(tmp_path / "calls/fax/x", voice(0.6, 1, 120), 16_000, format="RAW", subtype="ALAW")
    arguments = ["import", "recordings", "--root", str(tmp_path / "calls"), "--out", str(tmp_path / "out")]
    assert training(arguments) == 2
    assert training([*arguments, "--headerless", "alaw@16000"]) == 0
    (clip,) = read(tmp_path / "out/manifest.tsv")
    assert len(audio.load_audio(clip.file)) == 2_400


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["prompts", "--list", "none.tsv"], "No such file"),
        (["recordings", "--root", "none"], "No such file"),
        (["speechocean", "--root", "none"], "No such file"),
        (["robocalls", "--root", "."], "metadata.csv"),
        (
            ["tts", "--command", "no-such-program {text} {out}", "--voices", "v", "--texts", "t"],
            "line 1: no-such-program",
        ),
    ],
)
def test_a_wrong_call_is_told_in_words(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "v").write_text("-v en\n")
    (tmp_path / "t").write_text("live\tHello?\n")
    assert training(["import", *arguments, "--out", "out"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("import failed: ")
    assert words in said


def test_a_layout_that_lacks_a_column_is_told(tmp_path, capsys):
    (tmp_path / "metadata.csv").write_text("name\nx\n")
    assert training(["import", "robocalls", "--root", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "there is no 'file_name' where the published layout has it" in capsys.readouterr().err


def test_what_an_importer_needs_is_asked_for(capsys):
    with pytest.raises(SystemExit):
        training(["import", "tts", "--out", "x"])
    assert "tts needs --command and --voices and --texts" in capsys.readouterr().err


def test_trimming_keeps_the_words():
    said = np.concatenate((np.zeros(4_000), voice(0.5, 2, 150), np.zeros(4_000))).astype(np.float32)
    assert 4_000 <= len(audio.trimmed(said)) <= 6_200
    assert len(audio.trimmed(np.zeros(10, np.float32))) == 10


def test_split_is_the_same_everywhere():
    splits = [importers.split_of(f"s{n}") for n in range(500)]
    assert splits == [importers.split_of(f"s{n}") for n in range(500)]
    assert 20 < splits.count("dev") < 90
    assert 20 < splits.count("test") < 90
