"""JSON values. Pure."""

from __future__ import annotations

from typing import Any

Json = Any
"""A value that came out of a JSON parser."""
