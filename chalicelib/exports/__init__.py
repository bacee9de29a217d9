"""Privacy exports: reading every variant, staging, importing."""
