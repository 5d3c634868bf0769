"""The doctor on the configuration: what can be said of it without asking anybody. Pure."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from fsbridge.doctor.findings import Finding, Notes
from fsbridge.doctor.node import is_here, is_loopback
from fsbridge.settings.amd import AmdSettings
from fsbridge.settings.nodes import NodeSettings
from fsbridge.settings.whole import Settings


def examine_settings(settings: Settings, example_keys: Collection[str] = ()) -> list[Finding]:
    """What can be said of the configuration without asking anybody."""
    notes = Notes("configuration")
    if not settings.orgs:
        notes.warn("organizations", "none: nobody can place a call", "an [[orgs]] table; `fsbridge keys new`")
    for org in settings.orgs:
        check = f"keys of {org.name or org.id}"
        if set(org.api_keys) & set(example_keys):
            notes.problem(check, "the key of the example is in use: everybody knows it", "`fsbridge keys new`")
        elif not org.api_keys:
            notes.warn(check, "none: it cannot place calls", "orgs.api_keys; `fsbridge keys new` makes one")
        else:
            notes.ok(check, f"{len(org.api_keys)} in use")
    hooks = settings.webhooks
    if hooks.allow_private:
        notes.warn("webhooks", "callbacks may go to private addresses", "webhooks.allow_private = false")
    if hooks.allow_http:
        notes.warn("webhooks", "callbacks may go unencrypted", "webhooks.allow_http = false")
    if not (hooks.allow_private or hooks.allow_http):
        notes.ok("webhooks", "https to public addresses only")
    flows = settings.flows
    opened = {
        "requests_allow_private": "requests of flows may go to private addresses",
        "requests_allow_http": "requests of flows may go unencrypted, with their secrets",
        "bots_allow_private": "voice bots may be at private addresses",
        "bots_allow_ws": "calls' audio may go to voice bots unencrypted",
    }
    for key, text in opened.items():
        if getattr(flows, key):
            notes.warn("flows reach", text, f"flows.{key} = false")
    return notes.found


def examine_taps(node: NodeSettings, amd: AmdSettings) -> list[Finding]:
    """Whether FreeSWITCH can reach the AMD workers under the address that it is given; by the configuration alone."""
    notes = Notes(f"node {node.name}")
    check = "way to the AMD workers"
    own = amd.advertise_host or amd.host
    hosts = sorted({urlsplit(url).hostname or "" for url in amd.urls}) if amd.urls else [own]
    astray = [host for host in hosts if is_here(host)]
    if is_here(node.host):
        notes.ok(check, f"{', '.join(hosts)} (same host)")
    elif astray:
        key = "amd.urls" if amd.urls else "amd.advertise_host"
        notes.problem(
            check,
            f"the node is on {node.host}, but is told to send audio to {', '.join(astray)}: that is itself",
            f"{key}: an address of the workers that the node reaches" + ("" if amd.urls else '; amd.host = "0.0.0.0"'),
        )
    elif not amd.urls and is_loopback(amd.host):
        notes.problem(
            check,
            f"workers listen on {amd.host} only, where {node.host} cannot reach them",
            'amd.host = "0.0.0.0" (and a firewall: a worker has no password), or the private address',
        )
    elif not amd.urls and amd.base_port == 0:
        notes.warn(
            check,
            f"workers on {hosts[0]} listen on ports chosen at each start: no firewall can let them through",
            "amd.base_port, for example 9200",
        )
    else:
        notes.ok(check, ", ".join(hosts))
    return notes.found
