"""The server half of an audio tap's WebSocket: bytes in, values and bytes out. Pure; no sockets."""
