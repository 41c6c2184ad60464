"""A small U-Net takes noise off digits, with its long skips and with zeros in their place."""
