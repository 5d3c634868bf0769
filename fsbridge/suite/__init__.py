"""Suites of test calls: read, placed over REST, compared, reported. It knows the service from outside only."""
