"""Answers put together of clips, with their truth, and kept as arrays."""
