"""From raw answers to checked tables: decoding, columns, checks, files, compaction."""
