#!/usr/bin/env bash
# genesis 2026.10.18 (asyncio client of FreeSWITCH's event socket): after `event json …` no handler is ever called.
#
# FreeSWITCH offers events as plain, json and xml. genesis passes the command through, FreeSWITCH agrees, and the
# events arrive; but only plain ones are taken apart. One in JSON becomes an event whose body is the text and which has
# no Event-Name, so nothing that was registered for a name or a channel is called, and nothing is logged or raised.
#
# Surprises because the subscription is answered with +OK and the connection is healthy. Seen, with a server that sends
# the same HEARTBEAT once in JSON and once in plain: one call of the handler, by the plain one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
# What it imports, each pinned: pip takes minutes to choose among the versions that it would take.
"$folder/venv/bin/pip" install -q --no-deps genesis==2026.10.18 \
    opentelemetry-{api,sdk,proto,exporter-otlp-proto-common,exporter-otlp-proto-http}==1.39.1 \
    opentelemetry-{semantic-conventions,exporter-prometheus}==0.60b1 importlib-metadata==8.7.1 zipp==4.1.2 \
    fastapi==0.141.1 starlette==1.10.0 uvicorn==0.32.1 h11==0.16.0 anyio==4.16.0 idna==3.20 pydantic==2.14.4 \
    pydantic-core==2.50.5 annotated-doc==0.0.7 annotated-types==0.8.0 typing-inspection==0.4.5 \
    typing-extensions==4.16.0 typer==0.12.5 click==8.5.1 rich==13.9.4 pygments==2.21.0 pyjwt==2.15.1 redis==5.3.1 \
    prometheus-client==0.26.0
"$folder/venv/bin/python" -I - 2>/dev/null <<'PYTHON'
import asyncio
import json
import logging

from genesis import Inbound

logging.disable(logging.CRITICAL)


def framed(kind, body):
    return f"Content-Length: {len(body)}\nContent-Type: {kind}\n\n{body}".encode()


async def serve(reader, writer):
    writer.write(b"Content-Type: auth/request\n\n")
    for reply in ("+OK accepted", "+OK event listener enabled json"):
        await reader.readuntil(b"\n\n")
        writer.write(f"Content-Type: command/reply\nReply-Text: {reply}\n\n".encode())
    heartbeat = {"Event-Name": "HEARTBEAT", "Event-Info": "System Ready"}
    writer.write(framed("text/event-json", json.dumps(heartbeat)))
    plain = "".join(f"{name}: {value.replace(' ', '%20')}\n" for name, value in heartbeat.items()) + "\n"
    writer.write(framed("text/event-plain", plain))
    await reader.read()


async def main():
    heard, plain_came = [], asyncio.Event()

    async def on_heartbeat(event):
        heard.append(event["Content-Type"])
        if event["Content-Type"] == "text/event-plain":
            plain_came.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Inbound("127.0.0.1", port, "secret") as client:
        client.on("HEARTBEAT", on_heartbeat)
        answer = await client.send("event json HEARTBEAT")
        await asyncio.wait_for(plain_came.wait(), 20)
    server.close()
    return answer["Reply-Text"], heard


reply, heard = asyncio.run(main())
print("the subscription:", reply)
print("heard:", heard)
assert reply == "+OK event listener enabled json"
assert heard == ["text/event-plain"]
PYTHON
