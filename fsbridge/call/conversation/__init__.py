"""One flow on one channel: the interpreter's actions done, its results brought back, its ears and its bots.

A thin shell: what comes next is decided in `flow.interpreter`.
"""
