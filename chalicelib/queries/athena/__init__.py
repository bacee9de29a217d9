"""The engine on AWS: Athena for queries, Glue for the catalogue."""
