"""Claims about residual connections, and what the measured numbers say of them."""
