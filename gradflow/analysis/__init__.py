"""From logs to the numbers that are read, drawn and compared."""
