"""Query engines and catalogues: embedded (DuckDB) and AWS (Athena and Glue)."""
