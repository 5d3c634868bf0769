"""The rules of a call: what can happen, what follows, what of it is written down. Pure.

No greenlet, no command, no event socket: events come in as values and effects go out as values.
"""
