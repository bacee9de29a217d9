"""Query engines: what each must do; results as JSON, CSV and Parquet."""
