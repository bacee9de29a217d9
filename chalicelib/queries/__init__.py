"""Query engines: what each must do, and rows as JSON and CSV."""
