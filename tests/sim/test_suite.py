"""`fsbridge test`: flows testing flows on a simulated node, and what a suite that cannot run or fails comes to."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import structlog
from typer.testing import CliRunner, Result

from api.cli import app

pytestmark = pytest.mark.sim

SMOKE = Path(__file__).resolve().parents[2] / "fsbridge" / "flow" / "examples" / "suites" / "smoke.yaml"


@pytest.fixture
def logging_restored() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def in_process(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["test", *arguments])


def fsbridge_test(*arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "api", "test", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)


@pytest.mark.usefixtures("logging_restored")
def test_flows_test_flows(tmp_path: Path) -> None:
    junit, html = tmp_path / "report.xml", tmp_path / "report.html"
    done = in_process(str(SMOKE), "--simulate", "--speed", "3", "--junit", str(junit), "--html", str(html))
    assert done.exit_code == 0, done.output
    assert "4 of 4 as expected" in done.stdout
    suite = ElementTree.parse(junit).getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "0", "0")
    page = html.read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    assert re.search(r'<audio[^>]*src="data:audio/wav;base64,', page), "the test flows listened: their audio is there"
    assert "stepEnded" in page
    assert "<script" not in page


FAILING = """
name: 'A & B'
environments: {simulated: {numbers: {menu: '+15550100300'}}}
calls:
  - name: never <right>
    flow: flow.yaml
    far_end: [busy]
    expect: {status: Completed}
    timeout: 30
  - name: busy as it should be
    flow: flow.yaml
    far_end: busy
    expect: {status: Failed, failureReason: busy}
"""


@pytest.mark.usefixtures("logging_restored")
def test_what_is_not_as_expected_is_told_and_fails(tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text("steps: [{id: a, pause: 1}]")
    (tmp_path / "suite.yaml").write_text(FAILING)
    junit, html = tmp_path / "report.xml", tmp_path / "report.html"
    done = in_process(str(tmp_path / "suite.yaml"), "--simulate", "--junit", str(junit), "--html", str(html))
    assert done.exit_code == 1, done.output
    assert "status is Failed (busy: the call ended with USER_BUSY (SIP 486)), expected Completed" in done.stdout
    suite = ElementTree.parse(junit).getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("name"), suite.get("failures")) == ("A & B", "1")
    case = suite.find("testcase[@name='never <right>']/failure")
    assert case is not None
    assert "expected Completed" in (case.get("message") or "")
    assert "never &lt;right&gt;" in html.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("name: x\ncalls: []", ["--simulate"], "calls"),
        ("name: x\ncalls: [{name: a, flow: no.yaml, to: '+1555'}]", ["--simulate"], "no.yaml: cannot be read"),
        (
            "name: x\ncalls: [{name: a, flow: flow.yaml, to: '+1555', expects: {}}]",
            ["--simulate"],
            "did you mean expect",
        ),
        ("name: x\ncalls: [{name: a, flow: flow.yaml, far_end: nobody}]", ["--simulate"], "there is no 'nobody'"),
        ("name: x\ncalls: [{name: a, flow: flow.yaml, to: '+1555'}]", ["--env", "qa"], "there is no environment 'qa'"),
        (
            "name: x\nenvironments: {qa: {url: 'http://127.0.0.1:9', key_env: NO_SUCH_KEY, "
            "org: 22222222-2222-4222-8222-222222222222}}\ncalls: [{name: a, flow: flow.yaml, to: '+1555'}]",
            ["--env", "qa"],
            "set NO_SUCH_KEY",
        ),
    ],
)
def test_a_suite_that_cannot_run_says_why(tmp_path: Path, text: str, arguments: list[str], said: str) -> None:
    (tmp_path / "flow.yaml").write_text("steps: [{id: a, pause: 1}]")
    (tmp_path / "suite.yaml").write_text(text)
    done = fsbridge_test(str(tmp_path / "suite.yaml"), *arguments)
    assert (done.returncode, said in done.stderr) == (2, True), (done.stdout, done.stderr)
