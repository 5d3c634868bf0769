"""The detector measured on files: cases, figures with their uncertainty, reports."""
