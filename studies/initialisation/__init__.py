"""Networks before any training, beside what theory says of them."""
