"""What can go wrong on the event socket. Pure.

EslError
├── EslProtocolError     the peer sent what is not the event-socket protocol
├── EslConnectionLost    the socket could not be opened, or ended; what was pending is unknown
│   └── EslNotSent       there was no connection to begin with: the command had no effect
├── EslAuthRejected      the password is wrong, or the ACL refuses this host
├── CommandTimeout       no reply in time; the command may still have an effect
└── CommandFailed        FreeSWITCH answered -ERR: the command had no effect
    └── ModuleMissing    it would have had none: the node has not loaded what it needs
CommandError             (a ValueError of ours) a command that must not be sent
"""

from __future__ import annotations

from fsbridge.errors import FsbridgeError


class EslError(FsbridgeError):
    """Base of the event socket's errors."""


class EslProtocolError(EslError):
    """The peer does not speak the event-socket protocol; the connection has to be given up."""


class EslConnectionLost(EslError):
    """The connection could not be opened or has ended; the effect of pending commands is unknown."""


class EslNotSent(EslConnectionLost):
    """There was no connection when the command was to be written; it had no effect."""


class EslAuthRejected(EslError):
    """FreeSWITCH refused the password, or its ACL refused this host."""


class CommandTimeout(EslError):
    """FreeSWITCH did not reply in time; the command may still take effect."""


class CommandFailed(EslError):
    """FreeSWITCH replied `-ERR …`; `reply` is its text."""

    def __init__(self, command: str, reply: str) -> None:
        self.reply = reply
        super().__init__(f"{command}: {reply}")


class ModuleMissing(CommandFailed):
    """The node has not loaded the module that an application needs; FreeSWITCH itself would not say so."""


class CommandError(FsbridgeError, ValueError):
    """A part of a command is not allowed in it; nothing was sent."""
