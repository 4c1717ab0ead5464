-- As in 0007 and 0010, for more filters: one column each, and without the values that most rows have.
-- A call of a second or more is rare. So is a path with an encoded character: an object is looked for
-- in it beside the index of paths, because `%31` is another way to write `1`. The planner has statistics
-- for LIKE; of strpos() it takes a third of all rows to match, and reads the log instead.
DO $migration$
DECLARE
    item record;
BEGIN
    FOR item IN
        SELECT * FROM (VALUES
            ('request', '(request_id) WHERE request_id IS NOT NULL'),
            ('instance', '(instance)'),
            ('user_agent', '(user_agent text_pattern_ops) WHERE user_agent IS NOT NULL'),
            ('duration', '(duration_ms) WHERE duration_ms >= 1000'),
            ('encoded_path', '(created_at DESC, id DESC) WHERE path LIKE ''%\%%''')
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

-- Which transaction wrote a tool call or a gap, as in 0006: exports and live streams tell of them, too.
-- A trigger says it, because a tool call that goes on is changed at its end (0016), and so that a
-- logical subscriber has its own transactions whatever its publisher sends. Rows that are there
-- already get none.
ALTER TABLE mcp_tool_invocation ADD COLUMN appended_in xid8;
ALTER TABLE mcp_audit_gap ADD COLUMN appended_in xid8;
CREATE INDEX mcp_tool_invocation_by_arrival ON mcp_tool_invocation (appended_in);
CREATE INDEX mcp_audit_gap_by_arrival ON mcp_audit_gap (appended_in);

CREATE FUNCTION mcp_audit_appended() RETURNS trigger
LANGUAGE plpgsql
AS $function$
BEGIN
    NEW.appended_in := pg_catalog.pg_current_xact_id();
    RETURN NEW;
END
$function$;
REVOKE EXECUTE ON FUNCTION mcp_audit_appended FROM PUBLIC;

CREATE TRIGGER mcp_tool_invocation_appended BEFORE INSERT OR UPDATE ON mcp_tool_invocation
    FOR EACH ROW EXECUTE FUNCTION mcp_audit_appended();
CREATE TRIGGER mcp_audit_gap_appended BEFORE INSERT OR UPDATE ON mcp_audit_gap
    FOR EACH ROW EXECUTE FUNCTION mcp_audit_appended();
ALTER TABLE mcp_tool_invocation ENABLE ALWAYS TRIGGER mcp_tool_invocation_appended;
ALTER TABLE mcp_audit_gap ENABLE ALWAYS TRIGGER mcp_audit_gap_appended;
