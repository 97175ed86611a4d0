-- Which channels know of the episodes that are open or have something to be told, and the receipt of their first
-- message. A digest is no message to hang an answer on: it gives an empty one.
WITH living AS (
    SELECT episode FROM alert WHERE resolved_at IS NULL
    UNION
    SELECT episode FROM notice WHERE standing IN ('pending', 'inflight')
)
SELECT notice.episode, notice.channel, notice.receipt, notice.id
FROM notice JOIN living ON living.episode = notice.episode
WHERE notice.standing = 'sent' AND notice.what NOT IN ('digest', 'undelivered', 'action')
UNION ALL
SELECT member.episode, member.channel, '{}', member.id
FROM notice AS member
JOIN living ON living.episode = member.episode
JOIN notice AS digest ON 'in digest ' || digest.key = member.detail
WHERE member.standing = 'dropped' AND digest.standing = 'sent'
ORDER BY 4
