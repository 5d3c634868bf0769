"""The doctor on a node's SIP: its profiles, its gateways, and whether far ends may move our calls. Pure."""

from __future__ import annotations

from collections.abc import Callable

from fsbridge.doctor.findings import Finding, Notes
from fsbridge.doctor.replies import Gateway, Profile, is_true, read_gateway, read_profile_params, read_profiles
from fsbridge.settings.nodes import NodeSettings
from fsbridge.settings.whole import Settings

PING_S = 30
"""How often a gateway is best asked whether it is there, as in freeswitch-conf/sip_profiles/external."""
SOFIA = "xml_locate configuration configuration name sofia.conf"

Ask = Callable[[str], str]
"""Sends one API command and gives what it prints. Raises EslError."""


def examine_sip(node: NodeSettings, settings: Settings, ask: Ask) -> list[Finding]:
    """The profile that dials SIP URIs, each trunk's gateway, and the profiles of both. Raises EslError."""
    notes = Notes(f"node {node.name}")
    profiles = read_profiles(ask("sofia status"))
    _profile(notes, node, settings, profiles)
    used = {node.sip_profile} if any(trunk.sip_uris for trunk in settings.trunks) else set()
    for name in dict.fromkeys(gateway for trunk in settings.trunks for gateway in trunk.gateways):
        reply = ask(f"sofia status gateway {name}")
        gateway = read_gateway(reply)
        _gateway(notes, name, gateway, reply)
        used |= {gateway.profile} if gateway is not None else set()
    _transfers(notes, sorted(used & profiles.keys()), ask)
    return notes.found


def _profile(notes: Notes, node: NodeSettings, settings: Settings, profiles: dict[str, Profile]) -> None:
    name = node.sip_profile
    profile = profiles.get(name)
    known = ", ".join(sorted(profiles)) or "none"
    secure = [trunk.name for trunk in settings.trunks if trunk.sip_uris and trunk.tls]
    if profile is None or not profile.running:
        text = f"{name} is {profile.state if profile is not None else 'unknown'}; the node's profiles: {known}"
        change = f"`sofia profile {name} start`, or sip_profile of this node in fsbridge.toml"
        if any(trunk.sip_uris for trunk in settings.trunks):
            notes.problem(
                "SIP profile", text, f"{change} (it dials SIP URIs; sip_uris = false in [[trunks]] needs none)"
            )
        else:
            notes.warn("SIP profile", text, change)
    elif secure and not profile.tls:
        notes.problem(
            "SIP profile",
            f"{name} has no TLS, which trunk {secure[0]} promises (tls = true): calls to sips: URIs fail",
            f'<param name="tls" value="true"/> and a certificate for sip_profiles/{name}.xml, or no tls in [[trunks]]',
        )
    else:
        notes.ok("SIP profile", f"{name} is running{' with TLS' if profile.tls else ''}")


def _gateway(notes: Notes, name: str, gateway: Gateway | None, reply: str) -> None:
    check, file = f"gateway {name}", f"sip_profiles/external/{name}.xml"
    if gateway is None:
        notes.problem(
            check,
            f"the node does not know it: {reply.strip()[:60]}",
            f"{file}, then `sofia profile external rescan`; or gateways in [[trunks]]",
        )
        return
    taken = f"taken by `sofia profile {gateway.profile} killgw {name}`, then `… rescan`, which leaves what it knows"
    if gateway.status != "UP" or gateway.state not in ("NOREG", "REGED"):
        notes.problem(
            check,
            f"down: status {gateway.status}, state {gateway.state}",
            f"proxy, username and password in {file}; does the carrier know this address? {taken}",
        )
    elif gateway.calls and gateway.failed >= gateway.calls:
        notes.warn(check, f"up, but none of its {gateway.calls} calls got through", "ask the carrier; read the SIP log")
    elif gateway.state == "NOREG" and not gateway.ping_s:
        notes.warn(
            check,
            "known, but nobody checks that the carrier answers there",
            f'<param name="ping" value="{PING_S}"/> in {file}; {taken}',
        )
    elif gateway.state == "NOREG" and not gateway.answers:
        notes.warn(
            check,
            "called up, but it has not been asked yet whether it is there",
            f"this again in {gateway.ping_s} s, when it was",
        )
    else:
        notes.ok(check, f"up ({gateway.state})")


def _transfers(notes: Notes, profiles: list[str], ask: Ask) -> None:
    """Whether a far end may send our calls elsewhere by REFER; redirections are refused call by call."""
    if not profiles:
        return
    check, reply = "far ends", ask(SOFIA)
    safe = []
    for name in profiles:
        params = read_profile_params(reply, name)
        change = (
            f'<param name="disable-transfer" value="true"/> in sip_profiles/{name}.xml; taken by '
            f"`sofia profile {name} restart`, which ends its calls, not by a rescan"
        )
        if params is None:
            notes.warn(check, f"the node does not tell whether profile {name} lets them transfer our calls", change)
        elif is_true(params.get("disable-transfer", "")):
            safe.append(name)
        else:
            notes.problem(
                check, f"they may transfer our calls (REFER), by profile {name}, to whomever they like", change
            )
    if safe:
        notes.ok(check, f"cannot transfer our calls ({', '.join(safe)})")
