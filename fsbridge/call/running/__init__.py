"""The calls of this process: placed, taken in, followed to their end, found again after a lost connection.

Shells: the rules are `call.lifecycle`'s.
"""
