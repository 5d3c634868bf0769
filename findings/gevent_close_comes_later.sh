#!/usr/bin/env bash
# gevent 26.9.0, after monkey.patch_all(): `os.close` returns before the descriptor is closed, except for plain files.
#
# Since 25.8.1 the patched `os.close` hands the descriptor of a pipe, a folder or a device to the event loop and closes
# it when the loop turns. What follows from a close follows later: the reader of a pipe sees no end, and a lock that
# `flock` put on a folder is still held. The same lock on a plain file is gone at once.
#
# Surprises because a program without a word of gevent in it behaves otherwise after the patch, and only on some
# descriptors. Seen: pipe still open, folder still locked, file free; after `gevent.sleep(0.01)` all three are as one
# expects.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q gevent==26.9.0
mkdir "$folder/locked"
: > "$folder/locked/file"
"$folder/venv/bin/python" -I - "$folder/locked" <<'PYTHON'
from gevent import monkey

monkey.patch_all()
import fcntl
import os
import sys

import gevent


def at_its_end(descriptor):
    try:
        return os.read(descriptor, 1) == b""
    except BlockingIOError:
        return False


def lock_and_close(path):
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.close(descriptor)


def free(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def main(folder):
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.close(writer)
    lock_and_close(folder)
    lock_and_close(folder + "/file")
    seen = [at_its_end(reader), free(folder), free(folder + "/file")]
    gevent.sleep(0.01)
    return seen, [at_its_end(reader), free(folder)]


gevent.sleep(0)  # the loop is in use, as it is in every program with greenlets
at_once, later = gevent.spawn(main, sys.argv[1]).get()
print("at once: pipe at its end, folder free, file free:", at_once)
print("after sleep(0.01): pipe at its end, folder free:", later)
assert at_once == [False, False, True]
assert later == [True, True]
PYTHON
