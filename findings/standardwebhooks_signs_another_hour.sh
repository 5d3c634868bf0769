#!/usr/bin/env bash
# standardwebhooks 1.1.0: `sign` takes the wall-clock digits of an aware datetime for UTC, so it signs another hour.
#
# `Webhook.sign(id, timestamp, data)` calls `timestamp.replace(tzinfo=utc)`, which relabels a datetime instead of
# converting it. Two datetimes that are equal, one in UTC and one at +02:00, give different signatures, and the second
# one verifies only with a `webhook-timestamp` that is two hours off, which `verify` refuses as too new.
#
# Surprises because the two arguments compare equal, and because a naive UTC datetime, usually the mistake, is the form
# that works. Seen: signatures differ; the one made in the other zone is refused.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q standardwebhooks==1.1.0
"$folder/venv/bin/python" -I - <<'PYTHON'
from datetime import datetime, timedelta, timezone

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook, body = Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), '{"event":"call.completed"}'
in_utc = datetime.now(timezone.utc)
in_summer = in_utc.astimezone(timezone(timedelta(hours=2)))
assert in_utc == in_summer
stamp = str(int(in_utc.timestamp()))


def verdict(signature):
    headers = {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": signature}
    try:
        webhook.verify(body, headers)
    except WebhookVerificationError as error:
        return str(error)
    return "verified"


seen = {
    "UTC": verdict(webhook.sign("msg_1", in_utc, body)),
    "the same moment at +02:00": verdict(webhook.sign("msg_1", in_summer, body)),
    "naive UTC": verdict(webhook.sign("msg_1", in_utc.replace(tzinfo=None), body)),
}
for name, said in seen.items():
    print(f"{name}: {said}")
assert list(seen.values()) == ["verified", "No matching signature found", "verified"]
PYTHON
