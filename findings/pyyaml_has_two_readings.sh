#!/usr/bin/env bash
# PyYAML 6.0.4: its two safe loaders read some documents differently; one of the differences is a value, not an error.
#
# `CSafeLoader` (libyaml) is offered as the faster drop-in for `SafeLoader`. They disagree on short, plain documents:
# an empty value with the non-specific tag (`key: !`) is None for one and an empty string for the other; a tab after a
# colon and the one-pair mapping `[key:]` are each read by one of them and refused by the other.
#
# Surprises because which loader a program has often depends on how the package was built (`try: CSafeLoader`), so the
# same document means something else on another machine. Seen: as asserted below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyyaml==6.0.4
"$folder/venv/bin/python" -I - <<'PYTHON'
import yaml

EXPECTED = {
    "key: !": ({"key": None}, {"key": ""}),
    "key:\tvalue": ("refused", {"key": "value"}),
    "[key:]": ([{"key": None}], "refused"),
}


def read(loader, text):
    try:
        return yaml.load(text, Loader=loader)
    except yaml.YAMLError:
        return "refused"


for text, expected in EXPECTED.items():
    seen = (read(yaml.SafeLoader, text), read(yaml.CSafeLoader, text))
    print(f"{text!r}: SafeLoader {seen[0]!r}, CSafeLoader {seen[1]!r}")
    assert seen == expected
PYTHON
