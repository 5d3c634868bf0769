"""Calls under way: dial strings, outbound and inbound legs, `originate`."""
