-- Who read the audit log: one row for each question, export, live stream and sign-in at the audit API,
-- and for what it refused. The audit API may only INSERT here. So an export that has ended is a row of
-- its own, which names the row of its beginning.
CREATE TABLE mcp_audit_read (
    id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL,
    kind text NOT NULL,
    reader text,  -- the name of the token; null if PodWarden admitted the reader, or none was known
    role text,
    token_id uuid,
    session text,  -- of the page; no secret
    client_ip inet,
    question text NOT NULL,
    status_code smallint,  -- null until an export or a stream has ended
    rows_told bigint,
    times bigint NOT NULL DEFAULT 1,  -- how often the same reader was refused
    began uuid,
    instance text NOT NULL,
    seq bigint,  -- the place of its leaf in the log of the seal; null where reads are not sealed
    log integer
);
CREATE INDEX mcp_audit_read_newest ON mcp_audit_read (created_at DESC, id DESC);
CREATE INDEX mcp_audit_read_by_reader ON mcp_audit_read (reader) WHERE reader IS NOT NULL;
CREATE INDEX mcp_audit_read_by_beginning ON mcp_audit_read (began) WHERE began IS NOT NULL;

-- How far the log of each key has grown (audit_log/seal/growing/state.py). It grows with the rows, in
-- one transaction. No row of this table is trusted either: what was signed is kept elsewhere.
CREATE TABLE mcp_audit_read_seal (
    key bytea PRIMARY KEY,  -- the public one
    state bytea NOT NULL
);

-- The size of the table counts, and the retention that is applied lets its rows go with the others. Its
-- kind is that of the tool calls: sidecars of an earlier version know no further one.
DO $migration$
DECLARE
    schema CONSTANT text := quote_ident(current_schema());
    change record;
    definition text;
BEGIN
    FOR change IN
        SELECT 'mcp_audit_extent' AS function,
            $$WHEN c.relname = 'mcp_tool_invocation' THEN$$ AS before,
            $$WHEN c.relname IN ('mcp_tool_invocation', 'mcp_audit_read') THEN$$ AS after
        UNION ALL
        SELECT 'mcp_audit_extent',
            format($$'%s.mcp_tool_invocation'::regclass,$$, schema),
            format($$'%1$s.mcp_tool_invocation'::regclass, '%1$s.mcp_audit_read'::regclass,$$, schema)
        UNION ALL
        SELECT 'mcp_audit_purge',
            $$RETURN QUERY SELECT 'mcp_audit_gap', false, records, 0::bigint;
    END IF;$$,
            format($$RETURN QUERY SELECT 'mcp_audit_gap', false, records, 0::bigint;
        RETURN;
    END IF;

    DELETE FROM %1$s.mcp_audit_read WHERE id IN (
        SELECT id FROM %1$s.mcp_audit_read WHERE created_at < moment
        ORDER BY created_at LIMIT batch FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS records = ROW_COUNT;
    IF records > 0 THEN
        RETURN QUERY SELECT 'mcp_audit_read', false, records, 0::bigint;
    END IF;$$, schema)
        UNION ALL
        SELECT 'mcp_audit_seal_prune',
            format($$(SELECT min(ended_at) FROM %s.mcp_audit_gap), 'infinity')$$, schema),
            format($$(SELECT min(ended_at) FROM %1$s.mcp_audit_gap),
        (SELECT min(created_at) FROM %1$s.mcp_audit_read), 'infinity')$$, schema)
    LOOP
        definition := pg_get_functiondef(change.function::regproc);
        IF position(change.before IN definition) = 0 THEN
            RAISE EXCEPTION 'function % is not as the migrations made it', change.function;
        END IF;
        EXECUTE replace(definition, change.before, change.after);
    END LOOP;
END
$migration$;
