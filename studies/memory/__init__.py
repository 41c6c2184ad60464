"""What is kept of each layer for its gradient: sketches of activations, bits and checkpoints, bytes and errors."""
