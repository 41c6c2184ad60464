"""Gradients in plain and residual networks: data, networks, training, instruments, figures."""
