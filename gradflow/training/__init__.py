"""Training: its steps, its probe, and what lets it go on after a kill."""
