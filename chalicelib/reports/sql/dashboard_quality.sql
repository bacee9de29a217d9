-- title = "Quality checks that found something"
-- description = "Every check that failed on some rows, summed over all raw objects; holes in the listening history have a report of their own."
-- chart = {kind = "table"}
SELECT
    table_name,
    check_name,
    severity,
    sum(failures) AS failures,
    sum(rows_checked) AS rows_checked,
    count(*) AS objects,
    max(observed_at) AS last_seen,
    max_by(detail, observed_at) AS detail
FROM quality_results
WHERE failures > 0 AND window_start IS NULL
GROUP BY 1, 2, 3
ORDER BY CASE WHEN severity = 'fail' THEN 0 WHEN severity = 'reject' THEN 1 ELSE 2 END, failures DESC, 1, 2
