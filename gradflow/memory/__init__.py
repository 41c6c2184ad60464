"""Layers that keep less for the backward pass than others."""
