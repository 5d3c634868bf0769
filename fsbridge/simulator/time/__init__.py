"""Simulated time: its scheduler, what goes on in it, and a clock that runs ahead."""
