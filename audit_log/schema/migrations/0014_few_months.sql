-- While months are put in their place, readers and writers wait: the more months, the longer. Rows
-- of several years took seconds. Six months at once take about 50 ms; those from now on come first,
-- because new records need them, and who makes partitions goes on until none is missing. The rows
-- of the months that are left are copied again with the next six.
DO $migration$
DECLARE
    definition CONSTANT text := pg_get_functiondef('mcp_audit_log_missing'::regproc);
    before CONSTANT text := $find$ORDER BY month
        $query$find$;
BEGIN
    IF position(before IN definition) = 0 THEN
        RAISE EXCEPTION 'function mcp_audit_log_missing is not as the migrations made it';
    END IF;
    EXECUTE replace(definition, before, $put$ORDER BY month < date_trunc('month', $1), month LIMIT 6
        $query$put$);
END
$migration$;
