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

-- Their owner's rights are lent to whoever may call them. So they see no function and no operator
-- but those of PostgreSQL, whatever the caller set and whoever may CREATE in the schema: every
-- table is named in full (@schema@, as in an extension's script).
DO $migration$
DECLARE
    definition text;
BEGIN
    FOREACH definition IN ARRAY ARRAY[$create$
-- What the audit log consists of, and how large that is: from statistics, so that asking is cheap.
-- `bytes` are those of the files, `used_bytes` the share of them that records fill: what is deleted
-- leaves room for others and no smaller file.
CREATE FUNCTION @schema@.mcp_audit_extent()
RETURNS TABLE (name text, kind text, starts timestamptz, ends timestamptz, oldest timestamptz,
               records bigint, bytes bigint, used_bytes bigint)
LANGUAGE plpgsql
SECURITY DEFINER
@settings@
AS $function$
DECLARE
    part record;
    filled double precision;
BEGIN
    FOR part IN
        SELECT c.oid, n.nspname, c.relname, c.reltuples, c.relpages,
            pg_relation_size(c.oid) AS heap, pg_total_relation_size(c.oid) AS total,
            CASE WHEN c.relname = 'mcp_tool_invocation' THEN 'tool calls'
                 WHEN c.relname = 'mcp_audit_gap' THEN 'gaps'
                 WHEN NOT c.relispartition THEN 'unpartitioned'
                 WHEN bound.text = 'DEFAULT' THEN 'default'
                 ELSE 'partition' END AS kind,
            (regexp_match(bound.text, $$FROM \('([^']+)'\)$$))[1]::timestamptz AS starts,
            (regexp_match(bound.text, $$TO \('([^']+)'\)$$))[1]::timestamptz AS ends
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS text) AS bound
        WHERE c.relkind = 'r' AND (
            c.oid IN ('@schema@.mcp_audit_log'::regclass, '@schema@.mcp_tool_invocation'::regclass,
                      '@schema@.mcp_audit_gap'::regclass)
            OR c.oid IN (SELECT inhrelid FROM pg_inherits
                         WHERE inhparent = '@schema@.mcp_audit_log'::regclass))
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
        FROM pg_stats WHERE schemaname = part.nspname AND tablename = part.relname;
        -- A guess: what looks nearly full is.
        used_bytes := bytes * CASE WHEN filled < 0.8 THEN filled ELSE 1 END;
        RETURN NEXT;
    END LOOP;
END
$function$;
$create$, $create$
-- Before what moment records go, so that the log takes no more than `max_bytes`; nothing while it
-- fits. The same as Retention.keeps_from in retention.py, and of more weight: it cannot be asked
-- for more than that.
CREATE FUNCTION @schema@.mcp_audit_beyond(max_bytes bigint) RETURNS timestamptz
LANGUAGE sql STABLE
@settings@
AS $function$
    WITH extent AS MATERIALIZED (
        SELECT * FROM @schema@.mcp_audit_extent()
    ), part AS (
        SELECT *, (SELECT sum(used_bytes) FROM extent) - max_bytes
            - coalesce(sum(used_bytes) OVER (ORDER BY oldest
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS excess
        FROM extent WHERE kind IN ('partition', 'unpartitioned') AND oldest IS NOT NULL
    )
    SELECT CASE WHEN kind = 'partition' AND ends <= now() AND used_bytes <= excess + max_bytes / 10
        THEN ends
        ELSE oldest + (least(ends, now()) - oldest)
            * coalesce(least(1, excess / nullif(used_bytes, 0)), 0) END
    FROM part WHERE excess > 0 ORDER BY oldest DESC LIMIT 1
$function$
$create$, $create$
-- Removes one piece of what began before `moment`: a whole partition if there is one, else at most
-- `batch` records. Tells what went; nothing when nothing is left, or while somebody else is at it.
--
-- It runs with its owner's rights and takes no more than the row above lets go. Whoever reads for
-- long would make it wait, and every statement behind it: it gives up instead (55P03).
CREATE FUNCTION @schema@.mcp_audit_purge(moment timestamptz, batch integer)
RETURNS TABLE (name text, is_whole boolean, records bigint, bytes bigint)
LANGUAGE plpgsql
STRICT
SECURITY DEFINER
SET lock_timeout = '300ms'
@settings@
AS $function$
#variable_conflict use_column
DECLARE
    applied @schema@.mcp_audit_retention;
    leaf regclass;
    part record;
    is_by_age boolean;
    let_go timestamptz;
BEGIN
    SELECT * INTO STRICT applied FROM @schema@.mcp_audit_retention;
    is_by_age := coalesce(moment <= now() - make_interval(days => applied.days), false);
    IF batch NOT BETWEEN 1 AND 100000 THEN
        RAISE EXCEPTION 'batch must be between 1 and 100000';
    END IF;
    IF NOT is_by_age THEN
        IF applied.max_bytes IS NULL OR moment > now() - interval '1 day' THEN
            RAISE EXCEPTION 'the retention that is applied does not let records of % go', moment;
        END IF;
        let_go := @schema@.mcp_audit_beyond(applied.max_bytes);
        -- What belongs to records that are gone may always go.
        moment := least(moment, greatest(let_go, now() - make_interval(days => applied.days),
            (SELECT min(created_at) FROM @schema@.mcp_audit_log)));
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtext('mcp_audit_purge')) THEN
        RETURN;
    END IF;
    IF let_go IS NOT NULL AND applied.budget_reached_at IS NULL THEN
        UPDATE @schema@.mcp_audit_retention SET budget_reached_at = now();
    END IF;

    SELECT c.oid::regclass AS leaf, e.name, e.records, e.bytes INTO part
    FROM @schema@.mcp_audit_extent() AS e
    JOIN pg_class AS c ON c.relname = e.name
    JOIN pg_inherits ON inhrelid = c.oid AND inhparent = '@schema@.mcp_audit_log'::regclass
    WHERE e.kind = 'partition' AND e.ends <= moment ORDER BY e.ends LIMIT 1;
    IF FOUND THEN
        EXECUTE format('DROP TABLE %s', part.leaf);
        RETURN QUERY SELECT part.name::text, true, part.records::bigint, part.bytes::bigint;
        RETURN;
    END IF;

    -- Rows that somebody else is deleting this moment are left to him.
    WITH old AS (
        SELECT created_at, id FROM @schema@.mcp_audit_log WHERE created_at < moment
        ORDER BY created_at, id LIMIT batch FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM @schema@.mcp_audit_log AS log USING old
        WHERE log.created_at = old.created_at AND log.id = old.id AND log.created_at < moment
        RETURNING log.tableoid
    )
    SELECT count(*), max(tableoid) INTO records, leaf FROM gone;
    IF records > 0 THEN
        -- From now on the statistics know, and so does who asks how full it is. By size that is the
        -- next batch: without it, it would see the same excess again, and more records to go.
        IF records < batch OR let_go IS NOT NULL THEN
            EXECUTE format('ANALYZE %s', leaf);
        END IF;
        RETURN QUERY SELECT 'mcp_audit_log', false, records, 0::bigint;
        RETURN;
    END IF;

    DELETE FROM @schema@.mcp_tool_invocation WHERE id IN (
        SELECT id FROM @schema@.mcp_tool_invocation WHERE created_at < moment
        ORDER BY created_at LIMIT batch FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS records = ROW_COUNT;
    IF records > 0 THEN
        RETURN QUERY SELECT 'mcp_tool_invocation', false, records, 0::bigint;
        RETURN;
    END IF;

    DELETE FROM @schema@.mcp_audit_gap WHERE id IN (
        SELECT id FROM @schema@.mcp_audit_gap WHERE ended_at < moment LIMIT batch FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS records = ROW_COUNT;
    IF records > 0 THEN
        RETURN QUERY SELECT 'mcp_audit_gap', false, records, 0::bigint;
    END IF;
END
$function$;
$create$, $create$
-- As in 0002, with the same care. It also moves the rows of the earliest month before, which came
-- late.
CREATE OR REPLACE FUNCTION @schema@.mcp_audit_log_ensure_partitions(
    moment timestamptz, months_ahead integer)
RETURNS void
LANGUAGE plpgsql
STRICT
SECURITY DEFINER
SET lock_timeout = '2s'
@settings@
AS $function$
DECLARE
    this_month CONSTANT timestamp := date_trunc('month', moment AT TIME ZONE 'UTC');
    month timestamp;
    starts timestamptz;
    ends timestamptz;
    partition text;
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = '@schema@.mcp_audit_log'::regclass) <> 'p' THEN
        RETURN;  -- an adopted table stays as it is
    END IF;
    IF months_ahead NOT BETWEEN 0 AND 12 THEN
        RAISE EXCEPTION 'months_ahead must be between 0 and 12';
    END IF;

    FOR month IN
        SELECT this_month + make_interval(months => step)
        FROM generate_series(0, months_ahead) AS step
        UNION
        -- One earlier month a call: moving its rows holds others up.
        (SELECT date_trunc('month', created_at AT TIME ZONE 'UTC')
         FROM @schema@.mcp_audit_log_default
         WHERE created_at >= moment - interval '10 years'
           AND created_at < this_month AT TIME ZONE 'UTC'
         ORDER BY 1 LIMIT 1)
    LOOP
        partition := 'mcp_audit_log_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass('@schema@.' || partition) IS NOT NULL;

        -- Nothing may arrive in the default partition while its rows move. The lock also lets
        -- one caller at a time past this line; whoever waited here finds the work done.
        LOCK TABLE @schema@.mcp_audit_log_default IN ACCESS EXCLUSIVE MODE;
        CONTINUE WHEN to_regclass('@schema@.' || partition) IS NOT NULL;

        starts := month AT TIME ZONE 'UTC';
        ends := (month + interval '1 month') AT TIME ZONE 'UTC';
        EXECUTE format('CREATE TABLE @schema@.%I (LIKE @schema@.mcp_audit_log INCLUDING ALL)',
            partition);
        EXECUTE format(
            'WITH moved AS (DELETE FROM @schema@.mcp_audit_log_default'
            ' WHERE created_at >= %L AND created_at < %L RETURNING *)'
            ' INSERT INTO @schema@.%I SELECT * FROM moved', starts, ends, partition);
        EXECUTE format(
            'ALTER TABLE @schema@.mcp_audit_log ATTACH PARTITION @schema@.%I'
            ' FOR VALUES FROM (%L) TO (%L)',
            partition, starts, ends);
    END LOOP;
END
$function$;
$create$] LOOP
        EXECUTE replace(replace(definition,
            '@settings@', $$SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC' SET DateStyle = 'ISO'$$),
            '@schema@', quote_ident(current_schema()));
    END LOOP;
END
$migration$;

REVOKE EXECUTE ON FUNCTION mcp_audit_purge, mcp_audit_beyond FROM PUBLIC;
-- How large the log is, and how long it is kept, is no secret: services whose role may only INSERT
-- or only SELECT tell it.
GRANT SELECT ON mcp_audit_retention TO PUBLIC;
