"""All tables together, and what they must agree on. Pure."""

from __future__ import annotations

from pydantic import Field, model_validator

from fsbridge.errors import ConfigError
from fsbridge.settings.amd import AmdSettings
from fsbridge.settings.dialing import DialingSettings, TrunkSettings
from fsbridge.settings.flows import FlowSettings
from fsbridge.settings.inbound import InboundSettings
from fsbridge.settings.kinds import Table
from fsbridge.settings.nodes import NodeSettings
from fsbridge.settings.orgs import OrgSettings
from fsbridge.settings.service import ServiceSettings
from fsbridge.settings.webhooks import WebhookSettings


class Settings(Table):
    """Everything; `nodes`, `trunks` and `orgs` name each other and are checked together."""

    service: ServiceSettings = ServiceSettings()
    orgs: tuple[OrgSettings, ...] = ()
    nodes: tuple[NodeSettings, ...] = Field(min_length=1)
    trunks: tuple[TrunkSettings, ...] = Field(min_length=1)
    dialing: DialingSettings = DialingSettings()
    amd: AmdSettings = AmdSettings()
    flows: FlowSettings = FlowSettings()
    inbound: tuple[InboundSettings, ...] = ()
    webhooks: WebhookSettings = WebhookSettings()

    @model_validator(mode="after")
    def _names_agree(self) -> Settings:
        faults = [*_twice("nodes", [n.name for n in self.nodes]), *_twice("trunks", [t.name for t in self.trunks])]
        faults += _twice("orgs", [o.id for o in self.orgs])
        trunks = {t.name for t in self.trunks}
        faults += [
            f"orgs.{i}.trunk: there is no trunk named {o.trunk!r}; trunks are {', '.join(sorted(trunks))}"
            for i, o in enumerate(self.orgs)
            if o.trunk is not None and o.trunk not in trunks
        ]
        keys = [key for o in self.orgs for key in o.api_keys]
        if len(keys) != len(set(keys)):
            faults.append("orgs: one API key stands twice; a key belongs to one organization")
        faults += _nameless(self)
        faults += _inbound_faults(self)
        _, port = self.service.address
        if self.amd.base_port and 0 <= port - self.amd.base_port < self.amd.workers:
            faults.append(f"amd.base_port: one of its workers would listen on port {port}, which is service.listen's")
        if self.amd.workers == 0 and not self.amd.urls:
            faults.append("amd: with workers = 0, urls must name at least one worker")
        if faults:
            raise ConfigError(tuple(faults))
        return self


def _nameless(settings: Settings) -> list[str]:
    """Organizations whose calls would come from 0000000000, FreeSWITCH's word for nobody."""
    trunks = {trunk.name: trunk for trunk in settings.trunks}
    faults = []
    for place, org in enumerate(settings.orgs):
        trunk = trunks.get(org.trunk or settings.trunks[0].name)
        if org.outbound_calling and trunk is not None and org.caller_id is None and trunk.caller_id is None:
            faults.append(
                f"orgs.{place}.caller_id: missing, and trunk {trunk.name} has none either; "
                'a number to call from, or "anonymous" to withhold it'
            )
    return faults


def _inbound_faults(settings: Settings) -> list[str]:
    orgs, nodes = {o.id for o in settings.orgs}, {n.name for n in settings.nodes}
    faults, seen = [], set[tuple[str | None, str | None, str | None]]()
    for place, entry in enumerate(settings.inbound):
        if entry.org not in orgs:
            faults.append(f"inbound.{place}.org: there is no organization {entry.org}")
        if entry.node is not None and entry.node not in nodes:
            known = ", ".join(sorted(nodes))
            faults.append(f"inbound.{place}.node: there is no node named {entry.node!r}; nodes are {known}")
        number = entry.number.removeprefix("+") if entry.number is not None else None
        what = (entry.node, entry.key, number)
        if what in seen:
            faults.append(f"inbound.{place}: another entry is for the same calls; one of them would never be used")
        seen.add(what)
    return faults


def _twice(table: str, names: list[str]) -> list[str]:
    return [f"{table}: {name!r} stands twice" for name in sorted({n for n in names if names.count(n) > 1})]
