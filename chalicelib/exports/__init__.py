"""Privacy exports: reading every variant, staging all files or none, importing."""
