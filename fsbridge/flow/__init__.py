"""Flows: documents, what they may hear, what they do next. Nothing here knows of nodes, channels or event sockets."""
