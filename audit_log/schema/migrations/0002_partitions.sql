-- Makes the monthly partitions from the month of `moment` to `months_ahead` months later (UTC).
-- Rows of such a month that wait in the default partition are moved into it.
--
-- It runs with its owner's rights, so that a role with INSERT alone can have partitions made.
-- Whoever reads the default partition for long would make it wait, and every INSERT behind it:
-- it gives up instead (55P03), and is called again long before the partition is needed.
CREATE FUNCTION mcp_audit_log_ensure_partitions(moment timestamptz, months_ahead integer)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET lock_timeout = '2s'
AS $function$
DECLARE
    this_month CONSTANT timestamp := date_trunc('month', moment AT TIME ZONE 'UTC');
    month timestamp;
    starts timestamptz;
    ends timestamptz;
    partition text;
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = 'mcp_audit_log'::regclass) <> 'p' THEN
        RETURN;  -- an adopted table stays as it is
    END IF;
    IF months_ahead NOT BETWEEN 0 AND 12 THEN
        RAISE EXCEPTION 'months_ahead must be between 0 and 12';
    END IF;

    FOR step IN 0..months_ahead LOOP
        month := this_month + make_interval(months => step);
        partition := 'mcp_audit_log_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(partition) IS NOT NULL;

        -- Nothing may arrive in the default partition while its rows move. The lock also lets
        -- one caller at a time past this line; whoever waited here finds the work done.
        LOCK TABLE mcp_audit_log_default IN ACCESS EXCLUSIVE MODE;
        CONTINUE WHEN to_regclass(partition) IS NOT NULL;

        starts := month AT TIME ZONE 'UTC';
        ends := (month + interval '1 month') AT TIME ZONE 'UTC';
        EXECUTE format('CREATE TABLE %I (LIKE mcp_audit_log INCLUDING ALL)', partition);
        EXECUTE format(
            'WITH moved AS (DELETE FROM mcp_audit_log_default'
            ' WHERE created_at >= %L AND created_at < %L RETURNING *)'
            ' INSERT INTO %I SELECT * FROM moved', starts, ends, partition);
        EXECUTE format(
            'ALTER TABLE mcp_audit_log ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            partition, starts, ends);
    END LOOP;
END
$function$;

-- Pinned to the schema of the table: a function with its owner's rights must not be led astray
-- by the caller's search_path.
DO $migration$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION mcp_audit_log_ensure_partitions'
        ' SET search_path = %I, pg_temp', current_schema());
END
$migration$;

REVOKE EXECUTE ON FUNCTION mcp_audit_log_ensure_partitions FROM PUBLIC;
