"""A flow's text into a checked document, or into faults with their places. Pure; nothing runs here."""
