"""Training: the trainer, tasks, steps, optimisers, the probe, and saved states of unfinished trainings."""
