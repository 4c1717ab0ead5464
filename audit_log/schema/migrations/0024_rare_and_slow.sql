-- What went wrong is rare, and asked for together with a token, a tool or a client: the newest failures
-- and refusals are in the order of the answer, and few of them are read until enough are of that token.
-- The conditions are those of audit_log/postgres/conditions.py. Calls of 50 ms or more are slow for an
-- API and rare enough to be kept apart; where they are not, a slow call is soon found by time.
-- As in 0010, an index is dropped before any is made: who cannot have the lock tries again at once.
DO $migration$
DECLARE
    item record;
BEGIN
    DROP INDEX mcp_audit_log_by_duration;
    DROP INDEX IF EXISTS mcp_audit_log_by_duration_converted;
    FOR item IN
        SELECT * FROM (VALUES
            ('duration', '(duration_ms) WHERE duration_ms >= 50'),
            ('failure', '(created_at DESC, id DESC) WHERE status_code >= 500'),
            ('refusal', '(created_at DESC, id DESC)'
                ' WHERE outcome = ''refused'' OR status_code IN (401, 403)')
        ) AS wanted (name, definition)
    LOOP
        EXECUTE format('CREATE INDEX %I ON mcp_audit_log %s',
            'mcp_audit_log_by_' || item.name, item.definition);
        -- The copy of an adopted table that is being converted takes its place (0009).
        IF to_regclass('mcp_audit_log_converted') IS NOT NULL THEN
            EXECUTE format('CREATE INDEX %I ON mcp_audit_log_converted %s',
                'mcp_audit_log_by_' || item.name || '_converted', item.definition);
        END IF;
    END LOOP;
END
$migration$;

-- A list of tool calls, and the timeline, which shows both kinds, are asked the same of their own table.
CREATE INDEX mcp_tool_invocation_by_token
    ON mcp_tool_invocation (token_id, created_at DESC, id DESC);
CREATE INDEX mcp_tool_invocation_by_token_name ON mcp_tool_invocation (token_name);
CREATE INDEX mcp_tool_invocation_by_tool ON mcp_tool_invocation (tool);
CREATE INDEX mcp_tool_invocation_by_status
    ON mcp_tool_invocation (status_code, created_at DESC, id DESC) WHERE status_code <> 200;
CREATE INDEX mcp_tool_invocation_by_outcome
    ON mcp_tool_invocation (outcome, created_at DESC, id DESC) WHERE outcome <> 'ok';
