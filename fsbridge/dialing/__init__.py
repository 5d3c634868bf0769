"""Whom a call may reach and by which trunk. Pure; no channel and no node is touched here."""
