"""From recordings to a measured model. May import `amd_model` only; nothing here runs in the service."""
