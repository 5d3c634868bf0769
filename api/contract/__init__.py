"""The REST contract as values: shapes, codes, paths, strict JSON, conditional requests. Pure; no server."""
