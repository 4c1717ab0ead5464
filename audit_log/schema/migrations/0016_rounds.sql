-- A tool call may take several requests of its client (rounds), and may go on as a task. It is
-- recorded while it waits or works (`asked`, `working`), and again under the same id when it has
-- ended. Sidecars may only INSERT. So a trigger puts the newer of two versions into the row:
--
-- - An ended tool call is never changed.
-- - One that has not ended gives way to its end, to a later round, and within a round `working` to
--   `asked`. All others are older, or sent again.
--
-- So versions may come twice, in any order and in transactions that run at the same time: the
-- outcome is the same.
ALTER TABLE mcp_tool_invocation ADD COLUMN rounds integer NOT NULL DEFAULT 1;

-- The owner's rights are lent to every role that may INSERT: see migration 0008.
DO $migration$
BEGIN
    EXECUTE replace($create$
CREATE FUNCTION @schema@.mcp_tool_invocation_goes_on() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    INSERT INTO @schema@.mcp_tool_invocation AS stored SELECT NEW.*
    ON CONFLICT (id) DO UPDATE SET
        outcome = excluded.outcome, status_code = excluded.status_code,
        error_code = excluded.error_code, duration_ms = excluded.duration_ms,
        api_calls = excluded.api_calls, rounds = excluded.rounds,
        arrived_at = excluded.arrived_at
    WHERE stored.outcome IN ('asked', 'working') AND (
        excluded.outcome NOT IN ('asked', 'working')
        OR excluded.rounds > stored.rounds
        OR excluded.rounds = stored.rounds
            AND excluded.outcome = 'asked' AND stored.outcome = 'working');
    RETURN NULL;
END
$function$
$create$, '@schema@', quote_ident(current_schema()));
END
$migration$;

-- The function's own INSERT is one level deeper, and passes.
CREATE TRIGGER mcp_tool_invocation_goes_on BEFORE INSERT ON mcp_tool_invocation
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION mcp_tool_invocation_goes_on();
