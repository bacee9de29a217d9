-- title = "Left out"
-- description = "What is left out of every number (lake leave-out), and how much listening that is. Empty where nothing is."
-- question = "How do I listen?"
-- chart = {kind = "table"}
-- [parameters]
-- user = {type = "user"}
SELECT
    exclusions.kind,
    coalesce(exclusions.artist_name, exclusions.context_uri) AS name,
    exclusions.item_name AS title,
    exclusions.from_at,
    exclusions.to_at,
    count(left_out.play_id) AS listens,
    round(CAST(coalesce(sum(left_out.ms), 0) AS double) / 3600000, 1) AS hours,
    exclusions.exclusion_id
FROM exclusions
LEFT JOIN left_out ON left_out.exclusion_id = exclusions.exclusion_id AND (:user = '' OR left_out.user_id = :user)
WHERE exclusions.is_active AND (:user = '' OR exclusions.user_id IS NULL OR exclusions.user_id = :user)
GROUP BY 1, 2, 3, 4, 5, 8
ORDER BY 6 DESC, 8
