#!/usr/bin/env bash
# huey 3.5.4 (SqliteHuey, utc=True as it comes): in a time zone with summer time, tasks come an hour early in spring.
#
# An eta is turned into a naive datetime of UTC, and SqliteStorage stores `eta.timestamp()`, which takes a naive
# datetime for local time. As long as the local offset is constant both ends of every comparison are off by the same,
# and nothing shows. Over the change of the clock they are not: the hour of UTC that local time skips and the hour
# after it get the same number.
#
# Surprises because "utc" suggests that the local zone plays no part. Seen, in the zone of Berlin on 2027-03-28 (etas
# at 01:30, 02:30 and 03:30 UTC): seconds between the stored times 3600 and 0, and at 02:30 UTC all three tasks are
# handed out. huey's worker then finds that the third is not due, schedules it again, and gets it again at once, until
# it is.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q huey==3.5.4
cd "$folder"
TZ='CET-1CEST,M3.5.0,M10.5.0/3' "$folder/venv/bin/python" -I - <<'PYTHON'
import sqlite3
from datetime import datetime, timezone

from huey import SqliteHuey

huey = SqliteHuey(filename="queue.db")


@huey.task()
def ring(name):
    return name


for hour in (1, 2, 3):
    ring.schedule(args=(f"{hour}:30",), eta=datetime(2027, 3, 28, hour, 30, tzinfo=timezone.utc))
    huey.execute(huey.dequeue(), datetime(2027, 3, 28, 0, 0))  # as a worker does: not due, so onto the schedule
stored = [row[0] for row in sqlite3.connect("queue.db").execute("SELECT timestamp FROM schedule ORDER BY id")]
steps = [later - earlier for earlier, later in zip(stored, stored[1:])]
asked_at = datetime(2027, 3, 28, 2, 30)  # naive UTC, as huey asks its storage
handed_out = [task.args[0] for task in huey.read_schedule(asked_at)]
print("seconds between the stored times:", steps)
print("handed out at 02:30 UTC:", handed_out)
assert steps == [3600.0, 0.0]
assert handed_out == ["1:30", "2:30", "3:30"]
PYTHON
