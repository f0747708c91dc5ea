-- One row: what one app's clients sent and what arrived, over all of their instances. Of v_loss.
SELECT
    tenant, app, count() AS clients, sum(stored) AS stored, sum(duplicates) AS duplicates,
    sum(dead) AS dead, sum(missing) AS missing, sum(dropped_n) AS dropped
FROM v_loss
GROUP BY tenant, app
ORDER BY tenant, app
