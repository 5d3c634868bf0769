"""The event socket over TCP: connections, and the API commands that arrive on them."""
