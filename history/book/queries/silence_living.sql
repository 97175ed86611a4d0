-- What has not ended.
SELECT body FROM silence WHERE ends_at > ? AND ended_by = '' ORDER BY created_at
