"""What of a call's changes goes on its timeline. It reads no clock."""

from __future__ import annotations

from fsbridge.call.lifecycle import inputs as i
from fsbridge.call.lifecycle.timeline import Timeline
from fsbridge.model.call import Call
from fsbridge.model.status import Phase


def note(timeline: Timeline, before: Call, after: Call, item: i.Input, wall: float) -> None:
    """Add what one input has changed; times are Unix seconds."""
    if before.phase is Phase.QUEUED and not len(timeline):
        timeline.add("placed", after.created_at, destination=after.request.destination.value, inbound=after.inbound)
    if after.phase is Phase.ORIGINATING and before.phase is Phase.QUEUED:
        timeline.add("originated", wall, node=after.node, trunk=after.trunk)
    if after.ringing and not before.ringing and after.hangup is None:
        timeline.add("ringing", wall)
    if after.answered_at is not None and before.answered_at is None:
        timeline.add("answered", after.answered_at)
    _note_analysis(timeline, before, after, item, wall)
    if after.hangup is not None and before.hangup is None:
        timeline.add("hangup", wall, cause=after.hangup.cause, sip_status=after.hangup.sip_status)
    if after.ended and not before.ended:
        reason = str(after.failure) if after.failure is not None else None
        timeline.add("ended", wall, status=str(after.status), failure_reason=reason, detail=after.failure_detail)


def _note_analysis(timeline: Timeline, before: Call, after: Call, item: i.Input, wall: float) -> None:
    if after.tap_connected and not before.tap_connected:
        timeline.add("tapConnected", wall)
    if isinstance(item, i.TapFailed) and before.phase is Phase.ANALYZING:
        timeline.add("tapFailed", wall, detail=item.detail)
    found = after.analysis
    if found is not None and found != before.analysis:
        timeline.add(
            "verdict",
            wall,
            result=str(found.result),
            confidence=round(found.confidence, 3),
            reason=str(found.reason) if found.reason is not None else None,
            decided_after_ms=found.decided_after_ms,
            greeting_end_ms=found.greeting_end_ms,
            beep_ms=found.beep_ms,
            kind=None if found.answerer is None else str(found.answerer),
            language=found.language,
        )
