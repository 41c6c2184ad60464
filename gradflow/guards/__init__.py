"""Errors, signals, locks, damaged files: code that refuses, waits or reports, but changes no result."""
