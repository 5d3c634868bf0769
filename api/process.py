"""What the process asks of its system: enough open files for every connection that it may have. Shell."""

from __future__ import annotations

import resource

import structlog

from fsbridge.settings.whole import Settings

log = structlog.get_logger(__name__)

OWN = 200
"""Files of our own: databases, logs, event sockets, pipes of workers."""


def with_open_files(settings: Settings) -> Settings:
    """The settings, with as many connections as there can be files for; the soft limit is raised as far as needed.

    Without it a flood of connections takes the descriptors that databases and event sockets need.
    """
    own = OWN + len(settings.nodes) * 2 + settings.webhooks.workers * 2 + settings.flows.max_requests
    wanted = own + settings.service.max_connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return settings
    fewer = max(10, soft - own)
    log.warning("fewer_connections", connections=fewer, open_files=soft, advice=f"raise the limit of files to {wanted}")
    return settings.model_copy(update={"service": settings.service.model_copy(update={"max_connections": fewer})})
