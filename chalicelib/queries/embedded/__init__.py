"""The embedded engine: DuckDB over a folder. Laptop only: not deployed."""
