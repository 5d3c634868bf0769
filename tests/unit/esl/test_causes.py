"""Every hang-up cause is mapped on purpose, and what a hang-up event says is read from recorded ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsbridge.esl.causes import CAUSES, MAX_REASON, classify, hangup_info
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


def by_them(cause: str, q850: int, sip_status: int) -> HangupInfo:
    """Ended by a far end that is a FreeSWITCH of 1.11, which says why in a Reason header."""
    return HangupInfo(cause, q850, sip_status, f'Q.850;cause={q850};text="{cause}"', by_far_end=True)


@pytest.mark.parametrize(
    ("trace", "info"),
    [
        # Who sent the BYE tells whether there is a SIP status: ours has none, the far end's has.
        ("answered_gateway", HangupInfo("NORMAL_CLEARING", 16, None)),
        ("far_end_hangs_up", by_them("NORMAL_CLEARING", 16, 200)),
        ("busy_486", by_them("USER_BUSY", 17, 486)),
        ("declined_603", by_them("CALL_REJECTED", 21, 603)),
        ("not_found_404", by_them("UNALLOCATED_NUMBER", 1, 404)),
        ("unavailable_503", by_them("NORMAL_TEMPORARY_FAILURE", 41, 503)),
        # The profile has made that up itself, so it has no Reason.
        ("dead_gateway", HangupInfo("NORMAL_TEMPORARY_FAILURE", 41, 503, None, by_far_end=True)),
        # The Reason header's cause beats the status; both are kept.
        ("flows/refused_503_reason_17_110", HangupInfo("USER_BUSY", 17, 503, None, by_far_end=True)),
        ("flows/send_dtmf_is_queued", by_them("NORMAL_CLEARING", 16, 200)),
        # FreeSWITCH's own causes have no number of Q.850, though its events say 16.
        ("flows/node_shut_down_with_flow", HangupInfo("SYSTEM_SHUTDOWN", None, None)),
        ("flows/profile_restarted_live", HangupInfo("MANAGER_REQUEST", None, None)),
        # A Reason header in the answer to our own BYE says nothing of the end.
        ("flows/bot_host_unresolvable", HangupInfo("NORMAL_CLEARING", 16, None)),
        ("no_answer_timeout", HangupInfo("NO_ANSWER", 19, 487)),
        ("cancelled_while_ringing", HangupInfo("ORIGINATOR_CANCEL", None, 487)),
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
    assert hangup_info({}) == HangupInfo("NONE", None, None)
    assert hangup_info({"Hangup-Cause": "INVALID_GATEWAY"}) == HangupInfo("INVALID_GATEWAY", None, None)
    both = {"Hangup-Cause": "USER_BUSY", "variable_sip_invite_failure_status": "600"}
    assert hangup_info(both).sip_status == 600
    assert hangup_info(both | {"variable_sip_term_status": "486"}).sip_status == 486


@pytest.mark.parametrize(
    ("cause", "status", "reason"),
    [
        # Not in the table, for the Reason header's number has no name: the status decides.
        ("UNKNOWN", 404, FailureReason.UNROUTABLE_NUMBER),
        ("UNKNOWN", 486, FailureReason.BUSY),
        ("UNKNOWN", 480, FailureReason.NO_ANSWER),
        ("UNKNOWN", 503, FailureReason.TRUNK_UNAVAILABLE),
        # In the table: the cause decides.
        ("USER_BUSY", 503, FailureReason.BUSY),
        # A redirection that is not followed, whatever cause FreeSWITCH makes of it.
        ("REQUESTED_CHAN_UNAVAIL", 302, FailureReason.UNROUTABLE_NUMBER),
        ("NORMAL_UNSPECIFIED", 301, FailureReason.UNROUTABLE_NUMBER),
        ("REDIRECTION_TO_NEW_DESTINATION", None, FailureReason.UNROUTABLE_NUMBER),
    ],
)
def test_the_status_speaks_where_the_cause_does_not(cause: str, status: int | None, reason: FailureReason) -> None:
    assert classify(cause, status) is reason


def test_what_the_sip_side_says_is_kept_and_what_is_freeswitchs_own_is_not_passed_for_it() -> None:
    def said(cause: str = "MANAGER_REQUEST", **variables: str) -> HangupInfo:
        headers = {"Hangup-Cause": cause, "variable_hangup_cause_q850": "16"}
        return hangup_info(headers | {f"variable_{name}": value for name, value in variables.items()})

    assert said().q850 is None
    assert said(sip_term_cause="17").q850 == 17
    assert said(sip_term_cause="701").q850 is None
    assert said("UNKNOWN", sip_term_cause="200").q850 is None
    assert [said(sip_term_status=status).sip_status for status in ("900", "904", "183", "0", "x")] == [None] * 5
    # mod_sofia forbids a redirection before it notes the final reply; the status is in the protocol's own cause.
    refused = said("REQUESTED_CHAN_UNAVAIL", proto_specific_hangup_cause="sip:302")
    assert (refused.sip_status, refused.by_far_end) == (302, True)


def test_a_reason_header_can_do_no_harm() -> None:
    headers = {"Hangup-Cause": "USER_BUSY", "variable_sip_hangup_disposition": "recv_refuse"}
    found = hangup_info(headers | {"variable_sip_reason": 'Q.850;cause=17;text="\x1b[2J\u202e"' + "x" * 500})
    assert found.sip_reason is not None
    assert found.sip_reason.startswith('Q.850;cause=17;text="?[2J?"xxx')
    assert len(found.sip_reason) == MAX_REASON


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["Hangup-Cause", "variable_hangup_cause_q850", "variable_sip_term_status"]), st.text()
    )
)
def test_no_header_value_raises(headers: dict[str, str]) -> None:
    assert classify(hangup_info(headers).cause) in UNANSWERED
