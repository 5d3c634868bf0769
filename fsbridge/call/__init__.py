"""Calls: how they go (`lifecycle`), what is said on them (`conversation`), and who runs them (`running`)."""
