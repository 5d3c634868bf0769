#!/usr/bin/env bash
# phonenumbers 9.0.43: the time zone of a number may be a neighbour's, which keeps another time for half the year.
#
# `timezone.time_zones_for_number` names one zone for each number below, and it is the zone of another country or
# region: Paris for Algeria, Bucharest for Libya and for Kaliningrad, Chicago for Nicaragua, Mazatlan for Chihuahua.
# The named zones have summer time where the number's own has none, or stand an hour off all year.
#
# Surprises because the answer is one zone with a proper name, not a guess or a list, and is used to decide when a
# person may be called. Seen: all five names as above; hours from the place's own time in January and July as printed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q phonenumbers==9.0.43 tzdata==2026.6
"$folder/venv/bin/python" -I - <<'PYTHON'
import zoneinfo
from datetime import datetime

import phonenumbers
from phonenumbers import timezone

zoneinfo.reset_tzpath(())  # the pinned tables, whatever the machine's are
PLACES = {
    "+213551234567": ("Europe/Paris", "Africa/Algiers", (0, 1)),
    "+218912345678": ("Europe/Bucharest", "Africa/Tripoli", (0, 1)),
    "+74012345678": ("Europe/Bucharest", "Europe/Kaliningrad", (0, 1)),
    "+50588123456": ("America/Chicago", "America/Managua", (0, 1)),
    "+526141234567": ("America/Mazatlan", "America/Chihuahua", (-1, -1)),
}


def hours_off(named, own, month):
    moment = datetime(2027, month, 15, 12, 0)
    offsets = [moment.replace(tzinfo=zoneinfo.ZoneInfo(zone)).utcoffset() for zone in (named, own)]
    return (offsets[0] - offsets[1]).total_seconds() / 3600


for text, (expected, own, off) in PLACES.items():
    number = phonenumbers.parse(text)
    assert phonenumbers.is_valid_number(number), text
    (named,) = timezone.time_zones_for_number(number)
    seen = (hours_off(named, own, 1), hours_off(named, own, 7))
    print(f"{text}: {named}, its own {own}; hours off in January {seen[0]:+g}, in July {seen[1]:+g}")
    assert (named, seen) == (expected, off)
PYTHON
