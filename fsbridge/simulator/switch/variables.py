"""The variables that a call's course leaves on its channel, as FreeSWITCH sets them. Pure.

Names and values are those of tests/traces (answered_gateway, busy_486, inbound_call_parked, flow_bridge_and_transfer).
"""

from __future__ import annotations

from fsbridge.simulator.switch import causes
from fsbridge.simulator.switch.state import ChannelState

MEDIA = {
    "ep_codec_string": "CORE_PCM_MODULE.PCMU@8000h@20i@64000b",
    "remote_audio_media_flow": "sendrecv",
    "rtp_use_codec_name": "PCMU",
    "rtp_use_codec_rate": "8000",
    "rtp_use_codec_ptime": "20",
    "rtp_use_codec_channels": "1",
    "read_codec": "PCMU",
    "read_rate": "8000",
    "write_codec": "PCMU",
    "write_rate": "8000",
    "dtmf_type": "rfc2833",
    "remote_media_ip": "127.0.0.1",
}
"""What the media negotiation leaves."""


def caller(channel: ChannelState) -> None:
    """Of an inbound call: who calls, as the INVITE has it."""
    user = channel.caller_number
    channel.variables.update(
        {
            "sip_from_user": user,
            "sip_from_uri": f"{user}@127.0.0.1",
            "sip_from_host": "127.0.0.1",
            "channel_name": channel.name,
            "sip_call_id": f"sim-{channel.uuid}",
            "sip_network_ip": "127.0.0.1",
            "sip_network_port": "5080",
            "sofia_profile_name": "external",
            "sip_req_user": channel.number,
            "sip_req_uri": f"{channel.number}@127.0.0.1:5080",
            "sip_to_user": channel.number,
            "sip_to_uri": f"{channel.number}@127.0.0.1:5080",
            "sip_user_agent": "fsbridge simulator",
        }
    )


def called(channel: ChannelState) -> None:
    """Of an outbound call: the called side has answered the INVITE in some way."""
    if "sip_call_id" not in channel.variables:
        channel.variables.update(
            {
                "sip_network_ip": "127.0.0.1",
                "sip_network_port": "5080",
                "sip_to_user": channel.number,
                "sip_call_id": f"sim-{channel.uuid}",
                "sip_user_agent": "fsbridge simulator",
            }
        )


def ended_by_far_end(channel: ChannelState, status: int) -> str:
    """A BYE (`status` 0) or a refusal; returns the disposition, which a BYE shows only after CHANNEL_HANGUP.

    A status above 699 is FreeSWITCH's own: nobody said it, so there is no disposition.
    """
    variables = channel.variables
    final = status or 200
    variables["sip_term_status"] = str(final)
    variables["sip_term_cause"] = str(causes.q850(channel.cause))
    if final > 699:
        return ""
    variables["proto_specific_hangup_cause"] = f"sip:{final}"
    if status and channel.inbound:
        return "recv_cancel"
    if status:
        variables["sip_hangup_disposition"] = "recv_refuse"
        variables["sip_invite_failure_status"] = str(status)
        variables["sip_invite_failure_phrase"] = causes.phrase(status)
        return "recv_refuse"
    return "recv_bye"


def ended_by_us(channel: ChannelState) -> str:
    """A BYE, a CANCEL or a refusal of ours; returns the disposition."""
    if channel.answered:
        return "send_bye"
    if channel.inbound:
        return "send_refuse"
    channel.variables["sip_invite_failure_status"] = "487"
    channel.variables["sip_invite_failure_phrase"] = "CANCEL"
    return "send_cancel"


def billing(channel: ChannelState) -> None:
    """Stamps and durations, known to what runs after the hang-up (switch_core_session_hangup_state)."""
    times, variables = channel.times, channel.variables
    names = (("start", "created"), ("answer", "answered"), ("progress", "progress"), ("progress_media", "early"))
    for label, key in (*names, ("bridge", "bridged"), ("end", "hangup")):
        variables[f"{label}_epoch"] = str(times[key] // 1_000_000)
        variables[f"{label}_uepoch"] = str(times[key])
    duration = times["hangup"] - times["created"]
    billed = times["hangup"] - times["answered"] if times["answered"] else 0
    for label, length in (("duration", duration), ("bill", billed)):
        seconds = "billsec" if label == "bill" else label
        variables[seconds] = str(round(length / 1e6))
        variables["billmsec" if label == "bill" else "mduration"] = str(length // 1000)
