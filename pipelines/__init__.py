"""Prefect flows: they run what DVC says depends on what, side by side, on a schedule, with logs and a place to look."""
