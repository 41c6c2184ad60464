"""The columns of each table, and how tables are read and written."""
