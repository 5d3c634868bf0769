"""The organizations' documents as files: found, kept current, written and taken away."""
