#!/usr/bin/env bash
# google-re2 1.1.20251105: patterns that both it and `re` take do not match the same texts.
#
# The module has re's functions under re's names and offers itself as its replacement, in time linear in the text.
# Patterns that RE2 lacks (look-around, back-references) raise; these are taken by both and mean different things: `$`
# matches before a last line break in re only; `{,3}` is a repetition in re and five plain characters in RE2;
# `[[:alpha:]]` is a class of letters in RE2 and a set followed by `]` in re; `\d` and `\s` are ASCII in RE2 and
# Unicode in re.
#
# Surprises because a test with the usual texts passes with either. Seen: as asserted below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q google-re2==1.1.20251105
"$folder/venv/bin/python" -I -W ignore - <<'PYTHON'
import re

import re2

#           pattern           text                        re     re2
EXPECTED = [
    (r"press one$", "press one\n", True, False),
    (r"^a{,3}$", "aa", True, False),
    (r"^a{,3}$", "a{,3}", False, True),
    (r"^[[:alpha:]]$", "x", False, True),
    (r"^\d$", "\N{ARABIC-INDIC DIGIT THREE}", True, False),
    (r"one\stwo", "one\N{NO-BREAK SPACE}two", True, False),
]
for pattern, text, by_re, by_re2 in EXPECTED:
    seen = (re.search(pattern, text) is not None, re2.search(pattern, text) is not None)
    print(f"{pattern!r} in {text!r}: re {seen[0]}, re2 {seen[1]}")
    assert seen == (by_re, by_re2)
PYTHON
