"""classify and evaluate: what they print, what they refuse, and that they exit as they say."""

import json

import numpy as np
import pytest
import soundfile

from amd_model.detector.checkpoint import load
from amd_model.evaluation import classify, evaluate
from amd_model.evaluation.evaluate import EvaluationError, read_cases
from tests.model.test_detector import clip
from training.telephone import signals

pytestmark = pytest.mark.model


@pytest.fixture
def folder(tmp_path):
    soundfile.write(tmp_path / "person.wav", clip("person-hello"), 8_000)
    beep = np.concatenate((clip("machine-reader", after=0.5), signals.tone((900.0,), 0.4), signals.silence(1.0)))
    soundfile.write(tmp_path / "machine.flac", np.repeat(beep, 2)[:, None].repeat(2, axis=1), 16_000)
    soundfile.write(tmp_path / "fax.wav", signals.ced(np.random.default_rng(1), 3.0), 8_000, subtype="ULAW")
    soundfile.write(tmp_path / "none.wav", signals.silence(6.0), 8_000)
    return tmp_path


def test_classify_prints_a_line_a_file_and_goes_on(folder, capsys):
    (folder / "bad.wav").write_text("no audio")
    names = [str(folder / name) for name in ("person.wav", "bad.wav", "machine.flac", "fax.wav", "none.wav")]
    assert classify.run(names) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["file"] for line in lines] == names
    assert "bad.wav: not readable" in lines[1]["error"]
    verdicts = [line.get("verdict") for line in lines]
    assert verdicts == ["live_person", None, "answering_machine", "fax", "unknown"]
    assert lines[2]["beepAtMs"] == pytest.approx((len(clip("machine-reader", after=0.5))) / 8, abs=80)
    assert lines[0]["beepAtMs"] is None
    assert 0 < lines[0]["confidence"] <= 1
    assert classify.run(names[:1]) == 0


def test_classify_goes_on_after_files_that_libsndfile_cannot_read_whole(folder, capsys):
    voice = clip("person-hello")
    kinds = {"gsm.wav": "GSM610", "g721.au": "G721_32", "bare.ulaw": "ULAW", "bare.bin": "ALAW", "bare.raw": "PCM_16"}
    for name, coding in kinds.items():
        container = {"wav": "WAV", "au": "AU"}.get(name.rpartition(".")[2], "RAW")
        soundfile.write(folder / name, voice, 8_000, format=container, subtype=coding)
    (folder / "folder.wav").mkdir()
    names = [str(folder / name) for name in (*kinds, "folder.wav", "none.flac", "person.wav")]
    assert classify.run(names) == 1
    out, err = capsys.readouterr()
    lines = {line["file"].rpartition("/")[2]: line for line in map(json.loads, out.splitlines())}
    assert list(lines) == [name.rpartition("/")[2] for name in names]
    assert {name for name, line in lines.items() if "error" in line} == {"bare.bin", "folder.wav", "none.flac"}
    assert {line["verdict"] for line in lines.values() if "verdict" in line} == {"live_person"}
    assert err == "3 of 8 files left out\n"
    assert classify.run(["--headerless", "alaw", *names[:5]]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["verdict"] for line in out.splitlines()][3] == "live_person"
    assert err == ""
    assert classify.run(["--headerless", "wav", *names]) == 2
    assert "'wav' is none of raw, r8" in capsys.readouterr().err


def test_classify_wrong_calls(folder, capsys):
    assert classify.run([]) == 2
    assert classify.run(["--sensitivity", "50", str(folder / "person.wav")]) == 2
    assert classify.run(["--weights", str(folder / "no.safetensors"), str(folder / "person.wav")]) == 2
    assert "cannot read" in capsys.readouterr().err
    assert classify.run(["--help"]) == 0


def cases_file(folder, extra=""):
    path = folder / "cases.tsv"
    path.write_text(
        "file\tlabel\tfirstWordMs\tturnEndMs\tbeepMs\tvoice\n"
        "person.wav\tlive_person\t600\t1300\t-1\thuman\n"
        "machine.flac\tanswering_machine\t700\t10900\t11440\thuman\n"
        "fax.wav\tfax\t\t\t\tnone\n"
        "none.wav\tunknown\t\t\t\tnone\n" + extra
    )
    return path


def test_evaluate_json_text_and_html(folder, capsys):
    path = cases_file(folder)
    page, table = folder / "r.html", folder / "o.tsv"
    assert evaluate.run([str(path), "--json", "--html", str(page), "--outcomes", str(table)]) == 0
    body = json.loads(capsys.readouterr().out)
    assert {"accuracy", "recall", "confusion", "decisionMs", "subsets", "beep", "calibration", "timingRule"} <= set(
        body
    )
    assert body["accuracy"]["value"] == 1.0
    assert set(body["recall"]) == {"live_person", "answering_machine", "fax", "unknown"}
    assert body["decisionMs"]["live_person"]["p50"] < 3_000
    assert set(body["subsets"]["voice"]) == {"human", "none"}
    assert body["beep"]["recall"]["n"] == 1
    assert len(body["operatingCurve"]) == len(evaluate.SENSITIVITIES)
    html = page.read_text()
    assert html.count("<table>") >= 8
    assert "data:image/png" in html
    assert "http" not in html.replace("http-equiv", "")
    assert len(table.read_text().splitlines()) == 5
    assert evaluate.run([str(path)]) == 0
    text = capsys.readouterr().out
    assert "people taken for machines" in text
    assert "classic timing rule" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name\tlabel\n", "no column file"),
        ("file\tlabel\nperson.wav\tperson\n", "line 2: unknown label 'person'"),
        ("file\tlabel\nx.wav\tfax\n", r"line 2: no such file x\.wav"),
        ("file\tlabel\tbeepMs\nperson.wav\tfax\tsoon\n", "line 2: .*milliseconds"),
        ("file\tlabel\n", "no cases"),
        ("file\tlabel\tbeepMs\nperson.wav\tfax\tinf\n", "line 2: .*milliseconds"),
        ("file\tlabel\n" + "x" * 200_000 + "\tfax\n", "cannot be read: field larger"),
    ],
)
def test_bad_lists_are_refused_with_their_line(folder, text, words):
    path = folder / "cases.tsv"
    path.write_text(text)
    with pytest.raises(EvaluationError, match=words):
        read_cases(path)
    assert evaluate.run([str(path)]) == 2


def test_a_file_that_is_no_audio_is_left_out_of_the_evaluation_and_named(folder, capsys):
    (folder / "bad.wav").write_text("x")
    path = cases_file(folder, "bad.wav\tfax\t\t\t\tnone\n")
    soundfile.write(folder / "person.wav", clip("person-hello"), 8_000, subtype="GSM610")
    page = folder / "r.html"
    assert evaluate.run([str(path), "--json", "--html", str(page)]) == 1
    out, err = capsys.readouterr()
    body = json.loads(out)
    assert (body["cases"], body["recall"]["fax"]["n"]) == (4, 1)
    assert [one["file"] for one in body["leftOut"]] == [str(folder / "bad.wav")]
    assert body["operatingCurve"][0]["peopleTakenForMachines"]["n"] == 1
    assert err.splitlines()[0].startswith("left out: bad.wav: not readable as audio: ")
    assert err.splitlines()[1] == "1 of 5 files left out"
    assert "1 files could not be read and are left out." in page.read_text()


def test_nothing_readable_is_no_evaluation(folder, capsys):
    (folder / "bad.wav").write_text("x")
    (folder / "cases.tsv").write_text("file\tlabel\nbad.wav\tfax\n")
    assert evaluate.run([str(folder / "cases.tsv")]) == 2
    assert "none of 1 files can be read: bad.wav: not readable" in capsys.readouterr().err


def test_the_report_says_what_it_does_not_show(folder, capsys):
    rows = "".join(f"none.wav\tunknown\tline{min(n, 22)}\tid{n}\n" for n in range(26))
    (folder / "cases.tsv").write_text("file\tlabel\tline\tid\n" + rows)
    assert evaluate.run([str(folder / "cases.tsv")]) == 0
    text = capsys.readouterr().out
    assert "by line: has 23 values; the 20 with the most cases are shown" in text
    assert "by id: each of its 26 values is one case's own, which makes no subsets" in text
    assert "By line" in text
    assert "By id" not in text
    assert "(3 others)" in text


def test_detector_and_evaluation_agree(folder):
    model = load()
    body = classify.classify(model, str(folder / "person.wav"), evaluate.AmdOptions(mode=evaluate.Mode.MESSAGE_END))
    _, outcomes = evaluate.evaluate(model, read_cases(cases_file(folder)))
    assert (outcomes[0].verdict.value, outcomes[0].decided_ms) == (body["verdict"], body["decidedAtMs"])
    assert outcomes[0].confidence == pytest.approx(body["confidence"], abs=1e-3)
