#!/usr/bin/env bash
# soundfile 0.14.0 with libsndfile 1.2.2: a GSM 06.10 WAV reads back one block longer when its number of blocks is odd.
#
# A block of GSM in WAV is 65 bytes for 320 samples (40 ms). With an odd number of them the data chunk has an odd
# length and gets RIFF's pad byte; read again, the file has a block more, which nobody wrote. One second at 8 kHz is 25
# blocks and comes back as 1.04 s, two seconds come back exactly. W64 and AIFF, with the same coder, do not grow. Nor
# can such a file be entered in the middle: `seek` and `read(start=…)` are refused, `read(n)` from the beginning works.
#
# Surprises because the length of a recording depends on whether it is odd. Seen, frames written and read: WAV 8000 →
# 8320, 16000 → 16000; W64 and AIFF 8000 → 8000.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q soundfile==0.14.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" -I - <<'PYTHON'
import numpy
import soundfile

assert soundfile.__libsndfile_version__ == "1.2.2", soundfile.__libsndfile_version__


def read_back(frames, format):
    tone = 0.5 * numpy.sin(numpy.arange(frames) * 0.3)
    soundfile.write("tone", tone, 8000, format=format, subtype="GSM610")
    return len(soundfile.read("tone")[0])


seen = {(frames, format): read_back(frames, format) for format in ("WAV", "W64", "AIFF") for frames in (8000, 16000)}
for (frames, format), found in seen.items():
    print(f"{format}: {frames} frames written, {found} read")
assert seen == {
    (frames, format): frames + (320 if (format, frames) == ("WAV", 8000) else 0)
    for frames, format in seen
}
read_back(16000, "WAV")
try:
    soundfile.read("tone", start=8000)
except ValueError as error:
    print("from the middle:", error)
else:
    raise SystemExit("a GSM file can be entered in the middle now")
PYTHON
