#!/usr/bin/env bash
# orjson 3.13.0: an integer beyond 64 bits is read as a float without a word, and refused when it is written.
#
# JSON sets no bound to integers, and `json.loads` keeps each digit. `orjson.loads` gives a float for everything
# outside -2^63 … 2^64-1: no error, the low digits gone, the type changed. `orjson.dumps` is strict about the same
# range and raises. So a document that passes through loads and dumps comes out with other digits, although each call
# by itself succeeds.
#
# Surprises because the library is strict elsewhere (NaN, 1e400, surrogates), so one expects an error here too. Seen:
# 18446744073709551617 becomes 1.8446744073709552e+19; dumps of the int raises "Integer exceeds 64-bit range".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q orjson==3.13.0
"$folder/venv/bin/python" -I - <<'PYTHON'
import json

import orjson

TEXT = "18446744073709551617"  # 2**64 + 1
read, through = orjson.loads(TEXT), orjson.dumps(orjson.loads(TEXT)).decode()
print("json:", json.loads(TEXT), " orjson:", read, " through loads and dumps:", through)
assert json.loads(TEXT) == 2**64 + 1
assert isinstance(read, float)
assert int(read) != 2**64 + 1
assert through != TEXT
assert orjson.loads("18446744073709551615") == 2**64 - 1
for refused in (lambda: orjson.dumps(2**64 + 1), lambda: orjson.loads("1e400")):
    try:
        refused()
    except (orjson.JSONEncodeError, orjson.JSONDecodeError) as error:
        print("refused:", error)
    else:
        raise SystemExit("orjson takes it now")
PYTHON
