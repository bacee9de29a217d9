"""What the engine says of its limits, by whichever process a query meets one."""

OUT_OF_MEMORY = "the query needs more memory than QUERY_MEMORY allows it; narrow it, or raise the setting"
