"""The same training, written in several ways: each module is a script, ``python -m benchmarks.peers.NAME``."""
