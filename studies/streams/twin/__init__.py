"""The twin of the transformers: perceptrons on digits, with and without a skip, read and changed in the same ways."""
