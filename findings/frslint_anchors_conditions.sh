#!/usr/bin/env bash
# frslint 0.1.0: its dialplan debugger matches a condition from the first character on and leaves `$1` unfilled.
#
# FreeSWITCH searches: `expression="0100(\d+)$"` matches anywhere in destination_number unless it begins with `^`, and
# `$1` in an action's data is what the condition captured. `frslint debug`, which prints the actions that a number
# would run, uses Python's `re.match`, so the extension below is passed over, and it prints `$1` as it stands.
#
# Surprises because the sample dialplans anchor nearly everything, so the tool agrees with the switch until one does
# not. Seen, for +15550100123: no match; for 0100123, where the match begins at the first character, the same extension
# matches, with `bridge: sofia/gateway/carrier/$1`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q frslint==0.1.0
cat > "$folder/freeswitch.xml" <<'XML'
<?xml version="1.0"?>
<document type="freeswitch/xml">
  <section name="configuration"/>
  <section name="dialplan">
    <context name="public">
      <extension name="unanchored">
        <condition field="destination_number" expression="0100(\d+)$">
          <action application="bridge" data="sofia/gateway/carrier/$1"/>
        </condition>
      </extension>
    </context>
  </section>
</document>
XML
debug() { "$folder/venv/bin/frslint" debug "$folder/freeswitch.xml" "$1" | sed 's/\x1b\[[0-9;]*m//g' | tail -n +2; }
whole=$(debug +15550100123)
short=$(debug 0100123)
echo "$whole" | tail -1
echo "$short" | tail -2
grep -qF '> Condition match: destination_number !~ 0100(\d+)$' <<<"$whole" || { echo "it searches now"; exit 1; }
grep -qF '> Condition match: destination_number ~ 0100(\d+)$' <<<"$short"
grep -qxF 'bridge: sofia/gateway/carrier/$1' <<<"$short" || { echo "it fills captures now"; exit 1; }
