"""The rows: where they come from, and the table that holds them."""
