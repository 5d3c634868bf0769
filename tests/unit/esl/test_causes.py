"""Every hang-up cause is mapped on purpose, and what a hang-up event says is read from recorded ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsbridge.esl.causes import CAUSES, classify, hangup_info
from fsbridge.esl.events import Event, decode
from fsbridge.esl.framing import FrameDecoder
from fsbridge.model.outcome import FailureReason, HangupInfo
from tests.traces import loader

pytestmark = pytest.mark.unit

FREESWITCH = """
NONE=0 UNALLOCATED_NUMBER=1 NO_ROUTE_TRANSIT_NET=2 NO_ROUTE_DESTINATION=3 CHANNEL_UNACCEPTABLE=6
CALL_AWARDED_DELIVERED=7 NORMAL_CLEARING=16 USER_BUSY=17 NO_USER_RESPONSE=18 NO_ANSWER=19 SUBSCRIBER_ABSENT=20
CALL_REJECTED=21 NUMBER_CHANGED=22 REDIRECTION_TO_NEW_DESTINATION=23 EXCHANGE_ROUTING_ERROR=25
DESTINATION_OUT_OF_ORDER=27 INVALID_NUMBER_FORMAT=28 FACILITY_REJECTED=29 RESPONSE_TO_STATUS_ENQUIRY=30
NORMAL_UNSPECIFIED=31 NORMAL_CIRCUIT_CONGESTION=34 NETWORK_OUT_OF_ORDER=38 NORMAL_TEMPORARY_FAILURE=41
SWITCH_CONGESTION=42 ACCESS_INFO_DISCARDED=43 REQUESTED_CHAN_UNAVAIL=44 PRE_EMPTED=45 FACILITY_NOT_SUBSCRIBED=50
OUTGOING_CALL_BARRED=52 INCOMING_CALL_BARRED=54 BEARERCAPABILITY_NOTAUTH=57 BEARERCAPABILITY_NOTAVAIL=58
SERVICE_UNAVAILABLE=63 BEARERCAPABILITY_NOTIMPL=65 CHAN_NOT_IMPLEMENTED=66 FACILITY_NOT_IMPLEMENTED=69
SERVICE_NOT_IMPLEMENTED=79 INVALID_CALL_REFERENCE=81 INCOMPATIBLE_DESTINATION=88 INVALID_MSG_UNSPECIFIED=95
MANDATORY_IE_MISSING=96 MESSAGE_TYPE_NONEXIST=97 WRONG_MESSAGE=98 IE_NONEXIST=99 INVALID_IE_CONTENTS=100
WRONG_CALL_STATE=101 RECOVERY_ON_TIMER_EXPIRE=102 MANDATORY_IE_LENGTH_ERROR=103 PROTOCOL_ERROR=111
INTERWORKING=127 SUCCESS=142 ORIGINATOR_CANCEL=487 CRASH=700 SYSTEM_SHUTDOWN=701 LOSE_RACE=702
MANAGER_REQUEST=703 BLIND_TRANSFER=800 ATTENDED_TRANSFER=801 ALLOTTED_TIMEOUT=802 USER_CHALLENGE=803
MEDIA_TIMEOUT=804 PICKED_OFF=805 USER_NOT_REGISTERED=806 PROGRESS_TIMEOUT=807 INVALID_GATEWAY=808
GATEWAY_DOWN=809 INVALID_URL=810 INVALID_PROFILE=811 NO_PICKUP=812 SRTP_READ_ERROR=813 BOWOUT=814
BUSY_EVERYWHERE=815 DECLINE=816 DOES_NOT_EXIST_ANYWHERE=817 NOT_ACCEPTABLE=818 UNWANTED=819 NO_IDENTITY=820
BAD_IDENTITY_INFO=821 UNSUPPORTED_CERTIFICATE=822 INVALID_IDENTITY=823 STALE_DATE=824 REJECT_ALL=825
"""
"""switch_cause_t, names and numbers."""

UNANSWERED = {
    FailureReason.NO_ANSWER,
    FailureReason.BUSY,
    FailureReason.TRUNK_UNAVAILABLE,
    FailureReason.UNROUTABLE_NUMBER,
}


def test_every_cause_of_freeswitch_is_in_the_table_with_its_number_and_no_other() -> None:
    known = dict(pair.split("=") for pair in FREESWITCH.split())
    assert {name: str(number) for name, (number, _) in CAUSES.items()} == known


def test_an_unanswered_call_gets_a_reason_that_fits_one() -> None:
    assert {reason for _, reason in CAUSES.values()} == UNANSWERED


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        ("USER_BUSY", FailureReason.BUSY),
        ("CALL_REJECTED", FailureReason.BUSY),
        ("NO_ANSWER", FailureReason.NO_ANSWER),
        ("NO_USER_RESPONSE", FailureReason.NO_ANSWER),
        ("ORIGINATOR_CANCEL", FailureReason.NO_ANSWER),
        ("UNALLOCATED_NUMBER", FailureReason.UNROUTABLE_NUMBER),
        ("INVALID_NUMBER_FORMAT", FailureReason.UNROUTABLE_NUMBER),
        ("NORMAL_TEMPORARY_FAILURE", FailureReason.TRUNK_UNAVAILABLE),
        ("INVALID_GATEWAY", FailureReason.TRUNK_UNAVAILABLE),
        ("DESTINATION_OUT_OF_ORDER", FailureReason.TRUNK_UNAVAILABLE),
        ("RECOVERY_ON_TIMER_EXPIRE", FailureReason.TRUNK_UNAVAILABLE),
        ("A_CAUSE_OF_NEXT_YEAR", FailureReason.TRUNK_UNAVAILABLE),
        ("", FailureReason.TRUNK_UNAVAILABLE),
    ],
)
def test_what_a_cause_means_for_a_call_nobody_answered(cause: str, reason: FailureReason) -> None:
    assert classify(cause) is reason


def our_end(name: str) -> Event:
    """The hang-up of our own leg in a recorded conversation: the channel that was created first."""
    decoder = FrameDecoder()
    decoder.receive_data(b"".join(loader.received(name)))
    found = [message for message in map(decode, decoder.frames()) if isinstance(message, Event)]
    ours = next(event.unique_id for event in found if event.name == "CHANNEL_CREATE")
    (end,) = [event for event in found if event.name == "CHANNEL_HANGUP_COMPLETE" and event.unique_id == ours]
    assert end.headers["Call-Direction"] == "outbound"
    return end


@pytest.mark.parametrize(
    ("trace", "info"),
    [
        # Who sent the BYE tells whether there is a SIP status: ours has none, the far end's has.
        ("answered_gateway", HangupInfo("NORMAL_CLEARING", 16, None)),
        ("far_end_hangs_up", HangupInfo("NORMAL_CLEARING", 16, 200)),
        ("busy_486", HangupInfo("USER_BUSY", 17, 486)),
        ("declined_603", HangupInfo("CALL_REJECTED", 21, 603)),
        ("not_found_404", HangupInfo("UNALLOCATED_NUMBER", 1, 404)),
        ("unavailable_503", HangupInfo("NORMAL_TEMPORARY_FAILURE", 41, 503)),
        ("dead_gateway", HangupInfo("NORMAL_TEMPORARY_FAILURE", 41, 503)),
        ("no_answer_timeout", HangupInfo("NO_ANSWER", 19, 487)),
        ("cancelled_while_ringing", HangupInfo("ORIGINATOR_CANCEL", 16, 487)),
        # The 486 in this event is of the busy party it was bridged to; our own far end had answered.
        ("flow_bridge_and_transfer", HangupInfo("USER_BUSY", 17, None)),
    ],
)
def test_a_recorded_end(trace: str, info: HangupInfo) -> None:
    assert hangup_info(our_end(trace).headers) == info


def test_an_unknown_cause_is_kept_as_it_came() -> None:
    assert hangup_info({"Hangup-Cause": "A_CAUSE_OF_NEXT_YEAR"}) == HangupInfo("A_CAUSE_OF_NEXT_YEAR", None, None)


def test_what_is_missing_is_looked_for_elsewhere() -> None:
    assert hangup_info({"variable_hangup_cause": "USER_BUSY"}) == HangupInfo("USER_BUSY", 17, None)
    assert hangup_info({}) == HangupInfo("NONE", 0, None)
    assert hangup_info({"Hangup-Cause": "INVALID_GATEWAY"}) == HangupInfo("INVALID_GATEWAY", None, None)
    both = {"Hangup-Cause": "USER_BUSY", "variable_sip_invite_failure_status": "600"}
    assert hangup_info(both).sip_status == 600
    assert hangup_info(both | {"variable_sip_term_status": "486"}).sip_status == 486


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["Hangup-Cause", "variable_hangup_cause_q850", "variable_sip_term_status"]), st.text()
    )
)
def test_no_header_value_raises(headers: dict[str, str]) -> None:
    assert classify(hangup_info(headers).cause) in UNANSWERED
