-- title = "Rejected rows"
-- description = "Rows and items that were not published, newest first, with the reason and what they held."
-- chart = {kind = "table"}
-- [parameters]
-- limit = {type = "integer", default = 100, least = 1, most = 1000, help = "Rows"}
SELECT observed_at, table_name, check_name, reason, content, raw_key, answer, item
FROM rejected_rows
ORDER BY observed_at DESC, raw_key, answer, item
LIMIT :limit
