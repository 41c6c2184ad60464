"""Handwritten digits for studies with stages of their own: the rows, their files, and tensors of them."""
