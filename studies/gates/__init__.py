"""Gates between stream and branch, and inputs that are shifted away from the rows of the training."""
