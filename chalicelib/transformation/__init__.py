"""From raw answers to checked tables: records, columns, checks, files, compaction."""
