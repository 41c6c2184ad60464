"""The columns of each table, how tables are read and written, and the configuration that every training carries."""
