"""What is read on the residual stream of a transformer, and what changes when it is changed."""
