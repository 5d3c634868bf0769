"""Clips and what is known of them: manifests, importers, texts and their phones."""
