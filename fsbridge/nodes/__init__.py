"""The FreeSWITCH nodes: a connection kept alive to each, its health, and the choice among them.

A node knows channels by their ids only; what a call is stays above.
"""
