-- In a logical subscriber, records are written by a worker of PostgreSQL for which ordinary triggers
-- do not fire. What arrived in the default partition while its rows were moved, or in an adopted
-- table while it was converted, was not copied and went with the old table: the triggers that keep
-- a copy up to date have to fire always. The functions that make them stay as they are otherwise.
DO $migration$
DECLARE
    change record;
    definition text;
BEGIN
    FOR change IN
        SELECT 'mcp_audit_move_begin' AS function,
            $find$    EXECUTE format(
        'CREATE TRIGGER mcp_audit_log_move_all AFTER TRUNCATE$find$ AS before,
            $add$    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER mcp_audit_log_move', waiting);
$add$ AS added
        UNION ALL
        SELECT 'mcp_audit_convert_begin',
            $find$    INSERT INTO mcp_audit_conversion (columns) VALUES (columns);$find$,
            $add$    ALTER TABLE mcp_audit_log ENABLE ALWAYS TRIGGER mcp_audit_log_convert;
$add$
    LOOP
        definition := pg_get_functiondef(change.function::regproc);
        IF position(change.before IN definition) = 0 THEN
            RAISE EXCEPTION 'function % is not as the migrations made it', change.function;
        END IF;
        EXECUTE replace(definition, change.before, change.added || change.before);
    END LOOP;
END
$migration$;
