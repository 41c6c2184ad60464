"""Small transformers: what each place of the norm does, and what can be read in and changed on the residual stream."""
