"""What becomes of stream, gradient and accuracy where a branch sees a share of the rows."""
