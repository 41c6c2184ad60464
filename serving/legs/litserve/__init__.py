"""LitServe: a queue and worker processes behind FastAPI."""
