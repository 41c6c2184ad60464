"""The frames of the explorer's sliders: from plain to residual, and over depth."""
