"""The API command `sofia`: profiles and gateways, as text and as XML. Replies as in tests/traces node_queries."""

from __future__ import annotations

from fsbridge.simulator.switch.node import Node

_RULE = "=" * 97


def sofia(node: Node, argument: str) -> str:
    words = argument.split()
    match words:
        case ["status"]:
            return _sofia_status(node)
        case ["status", "gateway", name]:
            return _gateway_text(node, name)
        case ["xmlstatus", "gateway", name]:
            return _gateway_xml(node, name)
    return "-USAGE: sofia status|xmlstatus [gateway <name>]\n"


def _gateways(node: Node) -> tuple[str, ...]:
    return node.settings.dead_gateways + node.settings.gateways


def _port(node: Node, gateway: str) -> int:
    return 5999 if gateway in node.settings.dead_gateways else 5080


def _sofia_status(node: Node) -> str:
    lines = [f"{'Name':>25}\t{'Type':>7}\t{'Data':>42}\tState", _RULE]
    for profile in node.settings.profiles:
        lines.append(f"{profile:>25}\tprofile\t{'sip:mod_sofia@127.0.0.1:5080':>42}\tRUNNING (0)")
        if node.settings.tls:
            lines.append(f"{profile:>25}\tprofile\t{'sip:mod_sofia@127.0.0.1:5081':>42}\tRUNNING (0) (TLS)")
    first = node.settings.profiles[0]
    for gateway in _gateways(node):
        address = f"sip:x@127.0.0.1:{_port(node, gateway)}"
        lines.append(f"{first + '::' + gateway:>25}\tgateway\t{address:>42}\tNOREG")
    count = len(node.settings.profiles)
    lines += [_RULE, f"{count} profile{'' if count == 1 else 's'} 0 aliases", ""]
    return "\n".join(lines)


def _gateway_facts(node: Node, name: str) -> dict[str, str]:
    port = _port(node, name)
    out, failed = node.gateway_calls[name]
    return {
        "name": name,
        "profile": node.settings.profiles[0],
        "scheme": "Digest",
        "realm": "127.0.0.1",
        "username": "x",
        "password": "yes",
        "from": f"<sip:x@127.0.0.1:{port}>",
        "contact": f"<sip:gw+{name}@127.0.0.1:5080;transport=udp;gw={name}>",
        "exten": "x",
        "to": f"sip:x@127.0.0.1:{port}",
        "proxy": f"sip:127.0.0.1:{port}",
        "context": "public",
        "expires": "3600",
        "freq": "3600",
        "out": str(out),
        "failed": str(failed),
    }


def _gateway_text(node: Node, name: str) -> str:
    if name not in _gateways(node):
        return "Invalid Gateway!\n"
    facts = _gateway_facts(node, name)
    labels = ("Name", "Profile", "Scheme", "Realm", "Username", "Password", "From", "Contact", "Exten", "To", "Proxy")
    rows = [(label, facts[label.lower()]) for label in (*labels, "Context", "Expires", "Freq")]
    rows += [("Ping", "0"), ("PingFreq", "0"), ("PingTime", "0.00"), ("PingState", "0/0/0"), ("State", "NOREG")]
    rows += [("Status", "UP"), ("Uptime", f"{int(node.scheduler.now())}s"), ("CallsIN", "0")]
    rows += [("CallsOUT", facts["out"]), ("FailedCallsIN", "0"), ("FailedCallsOUT", facts["failed"])]
    return "\n".join([_RULE, *(f"{label:<8}\t{value}" for label, value in rows), _RULE, ""])


def _gateway_xml(node: Node, name: str) -> str:
    if name not in _gateways(node):
        return "Invalid Gateway!\n"
    facts = _gateway_facts(node, name)
    order = ("name", "profile", "scheme", "realm", "username", "password", "from", "contact", "exten", "to", "proxy")
    rows = [(key, facts[key]) for key in (*order, "context", "expires", "freq")]
    rows += [(key, "0") for key in ("ping", "pingfreq", "pingmin", "pingcount", "pingmax")]
    rows += [("pingtime", "0.00"), ("pinging", "0"), ("state", "NOREG"), ("status", "UP")]
    rows += [("uptime-usec", str(int(node.scheduler.now() * 1e6))), ("calls-in", "0"), ("calls-out", facts["out"])]
    rows += [("failed-calls-in", "0"), ("failed-calls-out", facts["failed"])]
    body = "".join(f"    <{key}>{_xml(value)}</{key}>\n" for key, value in rows)
    return f'<?xml version="1.0" encoding="ISO-8859-1"?>\n  <gateway>\n{body}  </gateway>\n'


def _xml(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
