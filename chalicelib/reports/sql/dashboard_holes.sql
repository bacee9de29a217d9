-- title = "Holes"
-- description = "Times between which plays may have been lost, because more were made than Spotify remembers."
-- chart = {kind = "table"}
-- [parameters]
-- limit = {type = "integer", default = 100, least = 1, most = 1000, help = "Rows"}
SELECT window_start, window_end, detail, source, run_id, observed_at
FROM quality_results
WHERE window_start IS NOT NULL
ORDER BY window_start DESC, run_id
LIMIT :limit
