"""Two moons, or two spirals, for studies with stages of their own: the rows, and networks trained on them."""
