"""The event socket: bytes, events, commands, dial strings and hang-up causes. Its client is the only shell.

Nothing here knows of calls, flows or callers.
"""
