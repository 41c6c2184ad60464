"""How files are written and read: Parquet, JSON, and each of them whole or not at all."""
