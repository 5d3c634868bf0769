#!/usr/bin/env bash
# requests 2.34.2 and urllib3 2.8.0 (Python 3.11's http.client below them): 103 Early Hints is taken for the final
# answer.
#
# A server may send any number of interim answers (1xx) before the final one (RFC 9110, 15.2), and a client must read
# over those that it does not know. http.client reads over 100 alone. So `requests.post` returns status 103 with the
# hints as its headers, and the answer that follows is never seen. httpx 0.28.1 reads over it.
#
# Surprises because a proxy that begins to send hints changes the outcome of every call behind it, without an error.
# Seen: requests 103, httpx 200, on the same bytes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q requests==2.34.2 urllib3==2.8.0 httpx==0.28.1
"$folder/venv/bin/python" -I - <<'PYTHON'
import socket
import threading

import httpx
import requests

ANSWER = (
    b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
)


def serve(listening):
    for _ in range(2):
        connection, _ = listening.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(ANSWER)


listening = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, args=(listening,), daemon=True).start()
url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
by_requests = requests.get(url, timeout=10)
by_httpx = httpx.get(url, timeout=10, trust_env=False)
print("requests:", by_requests.status_code, dict(by_requests.headers))
print("httpx:", by_httpx.status_code, by_httpx.text)
by_requests.raise_for_status()
assert by_requests.status_code == 103
assert by_httpx.status_code == 200
PYTHON
