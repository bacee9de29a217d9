"""The functions that a query may call, by theme; each module declares its own."""
