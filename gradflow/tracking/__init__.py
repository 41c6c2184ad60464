"""Tracking: each result of the pipeline once in MLflow, with its parameters, curves, files and models."""
