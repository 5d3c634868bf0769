#!/usr/bin/env bash
# structlog 26.1.0 under gevent 26.9.0's pywsgi: what one request binds is still bound in the next one of its
# connection.
#
# `structlog.contextvars.bind_contextvars` binds for the current context, and the usual advice is "once per request".
# gevent gives each greenlet a context of its own, and pywsgi serves a kept-alive connection in one greenlet: the
# context belongs to the connection. Behind a proxy that keeps connections open, lines of one caller's request carry
# another's values.
#
# Surprises because each of the two does what it says; only together the scope is not the request. Seen: the second
# request of a connection starts with what the first one bound; a new connection starts with nothing.
# `clear_contextvars()` at the start of each request helps.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q gevent==26.9.0 structlog==26.1.0
"$folder/venv/bin/python" -I - <<'PYTHON'
from gevent import monkey

monkey.patch_all()
import http.client

import structlog
from gevent.pywsgi import WSGIServer

began_with = []


def application(environ, start_response):
    began_with.append(dict(structlog.contextvars.get_contextvars()))
    structlog.contextvars.bind_contextvars(call=environ["PATH_INFO"])
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


server = WSGIServer(("127.0.0.1", 0), application, log=None)
server.start()
kept = http.client.HTTPConnection("127.0.0.1", server.server_port)
for path in ("/first", "/second"):
    kept.request("GET", path)
    kept.getresponse().read()
other = http.client.HTTPConnection("127.0.0.1", server.server_port)
other.request("GET", "/third")
other.getresponse().read()
server.stop()
print("bound at the start of each request:", began_with)
assert began_with == [{}, {"call": "/first"}, {}]
PYTHON
