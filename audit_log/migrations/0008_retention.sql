-- What is applied of AUDIT_LOG_RETENTION_DAYS and AUDIT_LOG_MAX_BYTES. Nothing is ever purged but
-- what this row lets go: whoever may not change it cannot use the functions below to erase more.
CREATE TABLE mcp_audit_retention (
    is_the_row boolean PRIMARY KEY DEFAULT true CHECK (is_the_row),
    days integer CHECK (days >= 1),
    max_bytes bigint CHECK (max_bytes >= 1),
    applied_at timestamptz NOT NULL DEFAULT now(),
    budget_reached_at timestamptz  -- when max_bytes first made records go
);
INSERT INTO mcp_audit_retention DEFAULT VALUES;

-- What the audit log consists of, and how large that is: from statistics, so that asking is cheap.
-- `bytes` are those of the files, `used_bytes` the share of them that records fill: what is deleted
-- leaves room for others and no smaller file.
CREATE FUNCTION mcp_audit_extent()
RETURNS TABLE (name text, kind text, starts timestamptz, ends timestamptz, oldest timestamptz,
               records bigint, bytes bigint, used_bytes bigint)
LANGUAGE plpgsql
SECURITY DEFINER
AS $function$
DECLARE
    part record;
    filled double precision;
BEGIN
    FOR part IN
        SELECT c.oid, c.relname, c.reltuples, c.relpages, pg_relation_size(c.oid) AS heap,
            pg_total_relation_size(c.oid) AS total,
            CASE WHEN c.relname = 'mcp_tool_invocation' THEN 'tool calls'
                 WHEN c.relname = 'mcp_audit_gap' THEN 'gaps'
                 WHEN NOT c.relispartition THEN 'unpartitioned'
                 WHEN bound.text = 'DEFAULT' THEN 'default'
                 ELSE 'partition' END AS kind,
            (regexp_match(bound.text, $$FROM \('([^']+)'\)$$))[1]::timestamptz AS starts,
            (regexp_match(bound.text, $$TO \('([^']+)'\)$$))[1]::timestamptz AS ends
        FROM pg_class AS c
        CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS text) AS bound
        WHERE c.relkind = 'r' AND (
            c.oid IN ('mcp_audit_log'::regclass, 'mcp_tool_invocation'::regclass,
                      'mcp_audit_gap'::regclass)
            OR c.oid IN (SELECT inhrelid FROM pg_inherits
                         WHERE inhparent = 'mcp_audit_log'::regclass))
        ORDER BY starts, c.relname
    LOOP
        name := part.relname;
        kind := part.kind;
        starts := part.starts;
        ends := part.ends;
        bytes := part.total;
        EXECUTE format('SELECT min(%I) FROM %s',
            CASE kind WHEN 'gaps' THEN 'ended_at' ELSE 'created_at' END, part.oid::regclass)
            INTO oldest;
        -- As the planner guesses: the density that was last seen, at the size of now. Without
        -- statistics yet, a record takes 200 bytes.
        records := CASE
            WHEN oldest IS NULL THEN 0
            WHEN part.relpages > 0 THEN
                part.reltuples / part.relpages * (part.heap / current_setting('block_size')::int)
            ELSE part.heap / 200 END;
        SELECT least(1, records * (sum(avg_width) + 28.0) / nullif(part.heap, 0)) INTO filled
        FROM pg_stats WHERE schemaname = current_schema() AND tablename = part.relname;
        -- A guess: what looks nearly full is.
        used_bytes := bytes * CASE WHEN filled < 0.8 THEN filled ELSE 1 END;
        RETURN NEXT;
    END LOOP;
END
$function$;

-- Removes one piece of what began before `moment`: a whole partition if there is one, else at most
-- `batch` records. Tells what went; nothing when nothing is left, or while somebody else is at it.
--
-- It runs with its owner's rights and takes no more than the row above lets go. Whoever reads for
-- long would make it wait, and every statement behind it: it gives up instead (55P03).
CREATE FUNCTION mcp_audit_purge(moment timestamptz, batch integer)
RETURNS TABLE (name text, is_whole boolean, records bigint, bytes bigint)
LANGUAGE plpgsql
SECURITY DEFINER
SET lock_timeout = '300ms'
AS $function$
#variable_conflict use_column
DECLARE
    applied mcp_audit_retention;
    leaf regclass;
    part record;
    is_by_age boolean;
BEGIN
    SELECT * INTO STRICT applied FROM mcp_audit_retention;
    is_by_age := coalesce(moment <= now() - make_interval(days => applied.days), false);
    IF batch NOT BETWEEN 1 AND 100000 THEN
        RAISE EXCEPTION 'batch must be between 1 and 100000';
    END IF;
    IF NOT is_by_age THEN
        IF applied.max_bytes IS NULL OR moment > now() - interval '1 day' THEN
            RAISE EXCEPTION 'the retention that is applied does not let records of % go', moment;
        END IF;
        -- Within the budget again; only what belongs to records that are gone may still go.
        IF (SELECT sum(e.bytes) FROM mcp_audit_extent() AS e) <= applied.max_bytes
            AND moment > (SELECT min(created_at) FROM mcp_audit_log)
        THEN
            RETURN;
        END IF;
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtext('mcp_audit_purge')) THEN
        RETURN;
    END IF;
    IF NOT is_by_age AND applied.budget_reached_at IS NULL THEN
        UPDATE mcp_audit_retention SET budget_reached_at = now();
    END IF;

    SELECT e.name, e.records, e.bytes INTO part FROM mcp_audit_extent() AS e
    WHERE e.kind = 'partition' AND e.ends <= moment ORDER BY e.ends LIMIT 1;
    IF FOUND THEN
        EXECUTE format('DROP TABLE %I', part.name);
        RETURN QUERY SELECT part.name::text, true, part.records::bigint, part.bytes::bigint;
        RETURN;
    END IF;

    -- Rows that somebody else is deleting this moment are left to him.
    WITH old AS (
        SELECT created_at, id FROM mcp_audit_log WHERE created_at < moment
        ORDER BY created_at, id LIMIT batch FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM mcp_audit_log AS log USING old
        WHERE log.created_at = old.created_at AND log.id = old.id AND log.created_at < moment
        RETURNING log.tableoid
    )
    SELECT count(*), max(tableoid) INTO records, leaf FROM gone;
    IF records > 0 THEN
        -- The last batch: from now on the statistics know, and so does who asks how full it is.
        IF records < batch THEN
            EXECUTE format('ANALYZE %s', leaf);
        END IF;
        RETURN QUERY SELECT 'mcp_audit_log', false, records, 0::bigint;
        RETURN;
    END IF;

    DELETE FROM mcp_tool_invocation WHERE id IN (
        SELECT id FROM mcp_tool_invocation WHERE created_at < moment
        ORDER BY created_at LIMIT batch FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS records = ROW_COUNT;
    IF records > 0 THEN
        RETURN QUERY SELECT 'mcp_tool_invocation', false, records, 0::bigint;
        RETURN;
    END IF;

    DELETE FROM mcp_audit_gap WHERE id IN (
        SELECT id FROM mcp_audit_gap WHERE ended_at < moment LIMIT batch FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS records = ROW_COUNT;
    IF records > 0 THEN
        RETURN QUERY SELECT 'mcp_audit_gap', false, records, 0::bigint;
    END IF;
END
$function$;

-- Pinned to the schema of the tables, as in 0002.
DO $migration$
BEGIN
    EXECUTE format('ALTER FUNCTION mcp_audit_extent SET search_path = %I, pg_temp',
        current_schema());
    EXECUTE format('ALTER FUNCTION mcp_audit_purge SET search_path = %I, pg_temp',
        current_schema());
END
$migration$;

REVOKE EXECUTE ON FUNCTION mcp_audit_purge FROM PUBLIC;
-- How large the log is, and how long it is kept, is no secret: services whose role may only INSERT
-- or only SELECT tell it.
GRANT SELECT ON mcp_audit_retention TO PUBLIC;
