"""From a body to a request: whose defaults the detector gets."""

from __future__ import annotations

import pytest

from amd_model.verdict import Mode, Verdict
from api.contract.place_call import CallAnalysisOptions
from api.rest.intake import amd_options
from fsbridge.settings.amd import AmdSettings
from fsbridge.settings.orgs import OrgAmdSettings

pytestmark = pytest.mark.unit

SERVICE = AmdSettings.model_validate({"total_timeout_ms": 8_000, "sensitivity": 1.5})
ORG = OrgAmdSettings.model_validate({"sensitivity": 2.0, "initial_silence_ms": 3_000})


def test_the_call_goes_before_the_organization_and_the_organization_before_the_service() -> None:
    wanted = CallAnalysisOptions.model_validate({"initialSilenceMs": 2_000})
    options = amd_options(wanted, frozenset({Verdict.LIVE_PERSON}), ORG, SERVICE)
    assert (options.initial_silence_ms, options.sensitivity, options.total_timeout_ms) == (2_000, 2.0, 8_000)


@pytest.mark.parametrize(
    ("allowed", "mode"), [({Verdict.LIVE_PERSON}, Mode.FAST), ({Verdict.ANSWERING_MACHINE}, Mode.MESSAGE_END)]
)
def test_who_speaks_to_machines_waits_for_the_beep_unless_told_otherwise(allowed: set[Verdict], mode: Mode) -> None:
    assert amd_options(None, frozenset(allowed), OrgAmdSettings(), SERVICE).mode is mode
    fast = CallAnalysisOptions.model_validate({"mode": "fast"})
    assert amd_options(fast, frozenset(allowed), OrgAmdSettings(), SERVICE).mode is Mode.FAST
