"""Convolutional residual networks: depth, batch norm, bottlenecks and shortcuts on small images."""
