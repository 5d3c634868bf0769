"""Requests to addresses that somebody else has named: which are allowed, and connections that go nowhere else.

Webhooks and flows ask through here; what they say is their own.
"""
