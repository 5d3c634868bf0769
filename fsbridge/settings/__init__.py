"""The configuration: one module a table of the file, `whole` for all of them, `reading` for file and environment."""
