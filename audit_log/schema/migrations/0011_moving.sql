-- Months are made without holding others up. Few rows in the default partition move at once, as
-- before. Many are copied beside it in batches, a trigger brings every change of the default
-- partition to the copy in the same transaction, and at the end the copy takes its place: the
-- months that it holds, and a new default partition. Until then the rows are read where they were.
CREATE TABLE mcp_audit_move (
    is_the_row boolean PRIMARY KEY DEFAULT true CHECK (is_the_row),
    columns text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT '-infinity',  -- up to here all is copied,
    id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',  -- and to here within that
    copied bigint NOT NULL DEFAULT 0,
    total bigint NOT NULL,  -- as the planner estimated when it began
    is_copied boolean NOT NULL DEFAULT false,
    begun_at timestamptz NOT NULL DEFAULT now()
);
-- How far it has come is no secret: services whose role may only INSERT or only SELECT tell it.
GRANT SELECT ON mcp_audit_move TO PUBLIC;

-- As in 0008: owner's rights are lent, so every name is in full.
DO $migration$
DECLARE
    definition text;
BEGIN
    FOREACH definition IN ARRAY ARRAY[$create$
-- Returns `wanted`, or the first of wanted_2, wanted_3, … that no table has: a partition that was
-- detached keeps its name.
CREATE FUNCTION @schema@.mcp_audit_free_name(wanted text) RETURNS text
LANGUAGE sql STABLE STRICT
@settings@
AS $function$
    SELECT name FROM (
        SELECT number, CASE number WHEN 1 THEN wanted ELSE wanted || '_' || number END AS name
        FROM generate_series(1, 1000) AS number
    ) AS names
    WHERE to_regclass('@schema@.' || quote_ident(name)) IS NULL ORDER BY number LIMIT 1
$function$;
$create$, $create$
-- The columns that are copied: those of the audit log without the generated ones.
CREATE FUNCTION @schema@.mcp_audit_move_columns() RETURNS text
LANGUAGE sql STABLE
@settings@
AS $function$
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
    WHERE attrelid = '@schema@.mcp_audit_log'::regclass AND attnum > 0 AND NOT attisdropped
        AND attgenerated = ''
$function$;
$create$, $create$
-- Whether a partition takes records of this span. Its bounds tell, not its name.
CREATE FUNCTION @schema@.mcp_audit_log_is_taken(starts timestamptz, ends timestamptz)
RETURNS boolean
LANGUAGE sql STABLE STRICT
@settings@
AS $function$
    SELECT EXISTS (
        SELECT FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        CROSS JOIN LATERAL (SELECT pg_get_expr(relpartbound, inhrelid) AS text) AS bound
        WHERE inhparent = '@schema@.mcp_audit_log'::regclass AND bound.text <> 'DEFAULT'
            AND coalesce((regexp_match(bound.text, $$FROM \('([^']+)'\)$$))[1], '-infinity')
                ::timestamptz < ends
            AND coalesce((regexp_match(bound.text, $$TO \('([^']+)'\)$$))[1], 'infinity')
                ::timestamptz > starts)
$function$;
$create$, $create$
-- The months without a partition that should have one: those from `moment` on, and those of rows in
-- the default partition. A few rows of another century, from a wrong clock, need none.
CREATE FUNCTION @schema@.mcp_audit_log_missing(
    moment timestamptz, months_ahead integer, waiting regclass)
RETURNS TABLE (starts timestamptz, ends timestamptz)
LANGUAGE plpgsql STABLE
@settings@
AS $function$
BEGIN
    RETURN QUERY EXECUTE format($query$
        WITH RECURSIVE used AS (
            SELECT date_trunc('month', min(created_at)) AS month FROM %1$s
            WHERE created_at > '-infinity'
            UNION ALL
            SELECT (SELECT date_trunc('month', min(created_at)) FROM %1$s
                    WHERE created_at >= used.month + interval '1 month')
            FROM used WHERE isfinite(used.month)
        ), wanted AS (
            SELECT date_trunc('month', $1) + make_interval(months => step) AS month
            FROM generate_series(0, $2) AS step
            UNION
            SELECT used.month FROM used
            WHERE isfinite(used.month) AND (
                used.month >= $1 - interval '10 years'
                AND used.month < $1 + make_interval(months => $2)
                OR 1000 < (SELECT count(*) FROM (
                    SELECT FROM %1$s WHERE created_at >= used.month
                        AND created_at < used.month + interval '1 month' LIMIT 1001) AS rows))
        )
        SELECT month, month + interval '1 month' FROM wanted
        WHERE NOT @schema@.mcp_audit_log_is_taken(month, month + interval '1 month')
        ORDER BY month
        $query$, waiting) USING moment, months_ahead;
END
$function$;
$create$, $create$
-- Makes the empty copy of the default partition, one table for each missing month in it, and the
-- trigger that keeps it up to date from now on.
CREATE FUNCTION @schema@.mcp_audit_move_begin(
    moment timestamptz, months_ahead integer, waiting regclass)
RETURNS void
LANGUAGE plpgsql
@settings@
AS $function$
DECLARE
    columns CONSTANT text := @schema@.mcp_audit_move_columns();
    partition text;
    month record;
BEGIN
    CREATE TABLE @schema@.mcp_audit_log_moving (
        LIKE @schema@.mcp_audit_log INCLUDING DEFAULTS INCLUDING GENERATED
    ) PARTITION BY RANGE (created_at);
    FOR month IN SELECT * FROM @schema@.mcp_audit_log_missing(moment, months_ahead, waiting) LOOP
        partition := @schema@.mcp_audit_free_name(
            'mcp_audit_log_' || to_char(month.starts, 'YYYY_MM'));
        -- The constraint proves the bounds when the month changes tables: nothing is read then.
        EXECUTE format(
            'CREATE TABLE @schema@.%I (LIKE @schema@.mcp_audit_log INCLUDING ALL,'
            ' CONSTRAINT mcp_audit_log_bounds CHECK (created_at >= %L AND created_at < %L))',
            partition, month.starts, month.ends);
        EXECUTE format(
            'ALTER TABLE @schema@.mcp_audit_log_moving ATTACH PARTITION @schema@.%I'
            ' FOR VALUES FROM (%L) TO (%L)', partition, month.starts, month.ends);
    END LOOP;
    partition := @schema@.mcp_audit_free_name('mcp_audit_log_default');
    EXECUTE format(
        'CREATE TABLE @schema@.%I (LIKE @schema@.mcp_audit_log INCLUDING ALL)', partition);
    EXECUTE format(
        'ALTER TABLE @schema@.mcp_audit_log_moving ATTACH PARTITION @schema@.%I DEFAULT',
        partition);

    INSERT INTO @schema@.mcp_audit_move (columns, total) VALUES (columns, coalesce(
        (SELECT records FROM @schema@.mcp_audit_extent() WHERE kind = 'default'), 0));
    -- It serves no other table, which would tell it lies.
    EXECUTE format($trigger_function$
        CREATE OR REPLACE FUNCTION @schema@.mcp_audit_log_move() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $trigger$
        BEGIN
            IF TG_RELID <> %1$L::regclass THEN
                RAISE EXCEPTION 'mcp_audit_log_move is for the default partition alone';
            END IF;
            IF TG_OP = 'TRUNCATE' THEN
                DELETE FROM @schema@.mcp_audit_log_moving;
                RETURN NULL;
            END IF;
            IF TG_OP <> 'INSERT' THEN
                DELETE FROM @schema@.mcp_audit_log_moving AS copy
                WHERE copy.created_at = OLD.created_at AND copy.id = OLD.id;
            END IF;
            IF TG_OP <> 'DELETE' THEN
                INSERT INTO @schema@.mcp_audit_log_moving (%2$s) SELECT %3$s
                ON CONFLICT DO NOTHING;
            END IF;
            RETURN NULL;
        END $trigger$ $trigger_function$,
        waiting, columns, 'NEW.' || replace(columns, ', ', ', NEW.'));
    REVOKE EXECUTE ON FUNCTION @schema@.mcp_audit_log_move FROM PUBLIC;
    -- Last, because writers wait from here to the end of the transaction.
    EXECUTE format(
        'CREATE TRIGGER mcp_audit_log_move AFTER INSERT OR UPDATE OR DELETE ON %s'
        ' FOR EACH ROW EXECUTE FUNCTION @schema@.mcp_audit_log_move()', waiting);
    EXECUTE format(
        'CREATE TRIGGER mcp_audit_log_move_all AFTER TRUNCATE ON %s'
        ' FOR EACH STATEMENT EXECUTE FUNCTION @schema@.mcp_audit_log_move()', waiting);
END
$function$;
$create$, $create$
-- Forgets the copy. The rows are where they were.
CREATE FUNCTION @schema@.mcp_audit_move_forget(waiting regclass) RETURNS void
LANGUAGE plpgsql
@settings@
AS $function$
BEGIN
    IF waiting IS NOT NULL THEN
        EXECUTE format('DROP TRIGGER IF EXISTS mcp_audit_log_move ON %s', waiting);
        EXECUTE format('DROP TRIGGER IF EXISTS mcp_audit_log_move_all ON %s', waiting);
    END IF;
    DROP FUNCTION IF EXISTS @schema@.mcp_audit_log_move();
    DROP TABLE IF EXISTS @schema@.mcp_audit_log_moving;
    DELETE FROM @schema@.mcp_audit_move;
END
$function$;
$create$, $create$
-- Whether the copy can still take the place of the default partition: not if the audit log got other
-- columns, or a partition for one of its months, since the copy was begun.
CREATE FUNCTION @schema@.mcp_audit_move_fits(copied_columns text, waiting regclass)
RETURNS boolean
LANGUAGE sql STABLE
@settings@
AS $function$
    SELECT waiting IS NOT NULL AND copied_columns = @schema@.mcp_audit_move_columns()
        AND EXISTS (SELECT FROM pg_trigger
                    WHERE tgrelid = waiting AND tgname = 'mcp_audit_log_move' AND tgenabled <> 'D')
        AND NOT EXISTS (
            SELECT FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
            CROSS JOIN LATERAL (SELECT pg_get_expr(relpartbound, inhrelid) AS text) AS bound
            WHERE inhparent = to_regclass('@schema@.mcp_audit_log_moving')
                AND @schema@.mcp_audit_log_is_taken(
                    (regexp_match(bound.text, $$FROM \('([^']+)'\)$$))[1]::timestamptz,
                    (regexp_match(bound.text, $$TO \('([^']+)'\)$$))[1]::timestamptz))
$function$;
$create$, $create$
-- Copies the next rows. Rows that somebody else is changing make it give up (55P03): waiting for
-- them while holding others could end in a deadlock.
CREATE FUNCTION @schema@.mcp_audit_move_batch(waiting regclass, batch integer) RETURNS void
LANGUAGE plpgsql
@settings@
AS $function$
DECLARE
    place @schema@.mcp_audit_move;
    last record;
BEGIN
    SELECT * INTO STRICT place FROM @schema@.mcp_audit_move;
    EXECUTE format(
        'WITH piece AS MATERIALIZED ('
        ' SELECT %1$s FROM %2$s WHERE (created_at, id) > ($1, $2)'
        ' ORDER BY created_at, id LIMIT $3 FOR SHARE NOWAIT'
        '), copied AS ('
        ' INSERT INTO @schema@.mcp_audit_log_moving (%1$s) SELECT %1$s FROM piece'
        ' ON CONFLICT DO NOTHING)'
        ' SELECT created_at, id, count(*) OVER () AS records FROM piece'
        ' ORDER BY created_at DESC, id DESC LIMIT 1', place.columns, waiting)
    INTO last USING place.created_at, place.id, batch;
    -- A batch that is not full was the last: what has come since then, the trigger has copied.
    UPDATE @schema@.mcp_audit_move SET
        created_at = coalesce(last.created_at, place.created_at),
        id = coalesce(last.id, place.id),
        copied = place.copied + coalesce(last.records, 0),
        is_copied = coalesce(last.records, 0) < batch;
END
$function$;
$create$, $create$
-- The copy takes the place of the default partition. Readers and writers wait for this; nothing but
-- the new default partition, which is small, is read meanwhile.
CREATE FUNCTION @schema@.mcp_audit_move_switch(waiting regclass) RETURNS void
LANGUAGE plpgsql
@settings@
AS $function$
DECLARE
    part record;
BEGIN
    LOCK TABLE @schema@.mcp_audit_log IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('DROP TABLE %s', waiting);
    -- Months first: while there is no default partition, none has to be searched for their rows.
    FOR part IN
        SELECT inhrelid::regclass AS name, pg_get_expr(relpartbound, inhrelid) AS bound
        FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = '@schema@.mcp_audit_log_moving'::regclass
        ORDER BY pg_get_expr(relpartbound, inhrelid) = 'DEFAULT'
    LOOP
        EXECUTE format(
            'ALTER TABLE @schema@.mcp_audit_log_moving DETACH PARTITION %s', part.name);
        EXECUTE format(
            'ALTER TABLE @schema@.mcp_audit_log ATTACH PARTITION %s %s', part.name, part.bound);
        EXECUTE format(
            'ALTER TABLE %s DROP CONSTRAINT IF EXISTS mcp_audit_log_bounds', part.name);
    END LOOP;
    IF to_regclass('@schema@.mcp_audit_log_default') IS NULL THEN
        EXECUTE format('ALTER TABLE %s RENAME TO mcp_audit_log_default', part.name);
    END IF;
    PERFORM @schema@.mcp_audit_move_forget(NULL);
END
$function$;
$create$, $create$
-- Moves the rows of the missing months at once. Only for few: it locks the default partition.
CREATE FUNCTION @schema@.mcp_audit_move_at_once(
    moment timestamptz, months_ahead integer, waiting regclass)
RETURNS void
LANGUAGE plpgsql
@settings@
AS $function$
DECLARE
    months tstzrange[] := '{}';
    names text[] := '{}';
    month record;
BEGIN
    FOR month IN SELECT * FROM @schema@.mcp_audit_log_missing(
        moment, months_ahead, coalesce(waiting, '@schema@.mcp_audit_log'::regclass))
    LOOP
        months := months || tstzrange(month.starts, month.ends);
        names := names || @schema@.mcp_audit_free_name(
            'mcp_audit_log_' || to_char(month.starts, 'YYYY_MM'));
        EXECUTE format(
            'CREATE TABLE @schema@.%I (LIKE @schema@.mcp_audit_log INCLUDING ALL)',
            names[cardinality(names)]);
    END LOOP;
    -- From here on writers wait: nothing may arrive in the default partition while its rows move.
    -- Readers wait too, before they look for the partitions: one that knew only the default
    -- partition would find it empty.
    IF waiting IS NOT NULL THEN
        LOCK TABLE ONLY @schema@.mcp_audit_log IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', waiting);
    END IF;
    FOR place IN 1..cardinality(names) LOOP
        IF waiting IS NOT NULL THEN
            EXECUTE format(
                'WITH moved AS (DELETE FROM %s'
                ' WHERE created_at >= %L AND created_at < %L RETURNING %s)'
                ' INSERT INTO @schema@.%I (%4$s) SELECT * FROM moved',
                waiting, lower(months[place]), upper(months[place]),
                @schema@.mcp_audit_move_columns(), names[place]);
        END IF;
        EXECUTE format(
            'ALTER TABLE @schema@.mcp_audit_log ATTACH PARTITION @schema@.%I'
            ' FOR VALUES FROM (%L) TO (%L)',
            names[place], lower(months[place]), upper(months[place]));
    END LOOP;
END
$function$;
$create$, $create$
-- As in 0008, in one step that holds nobody up for long: it makes the missing months, or begins to
-- move the rows of a large default partition, or goes on with that. mcp_audit_move has a row while
-- more steps are due. Who would have to wait for a lock gives up (55P03).
CREATE OR REPLACE FUNCTION @schema@.mcp_audit_log_ensure_partitions(
    moment timestamptz, months_ahead integer)
RETURNS void
LANGUAGE plpgsql
STRICT
SECURITY DEFINER
SET lock_timeout = '100ms'
@settings@
AS $function$
DECLARE
    waiting regclass;
    place @schema@.mcp_audit_move;
    is_large boolean;
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = '@schema@.mcp_audit_log'::regclass) <> 'p' THEN
        RETURN;  -- an adopted table stays as it is
    END IF;
    IF months_ahead NOT BETWEEN 0 AND 12 THEN
        RAISE EXCEPTION 'months_ahead must be between 0 and 12';
    END IF;
    -- One owner at a time; the others find the work done, or go on with it.
    PERFORM pg_advisory_xact_lock(hashtext('mcp_audit_log_ensure_partitions'));

    SELECT nullif(partdefid, 0)::regclass INTO waiting FROM pg_partitioned_table
    WHERE partrelid = '@schema@.mcp_audit_log'::regclass;
    SELECT * INTO place FROM @schema@.mcp_audit_move;
    IF FOUND THEN
        IF NOT @schema@.mcp_audit_move_fits(place.columns, waiting) THEN
            PERFORM @schema@.mcp_audit_move_forget(waiting);
        ELSIF place.is_copied THEN
            PERFORM @schema@.mcp_audit_move_switch(waiting);
        ELSE
            PERFORM @schema@.mcp_audit_move_batch(waiting, 2000);
        END IF;
        RETURN;
    END IF;
    IF NOT EXISTS (
        SELECT FROM @schema@.mcp_audit_log_missing(
            moment, months_ahead, coalesce(waiting, '@schema@.mcp_audit_log'::regclass))
    ) THEN
        RETURN;
    END IF;
    -- A new month needs the whole default partition to be searched for its rows.
    IF waiting IS NOT NULL THEN
        is_large := pg_relation_size(waiting) > 8388608;
        IF NOT is_large THEN
            EXECUTE format(
                'SELECT count(*) > 1000 FROM (SELECT FROM %s LIMIT 1001) AS rows', waiting)
                INTO is_large;
        END IF;
    END IF;
    IF is_large THEN
        PERFORM @schema@.mcp_audit_move_begin(moment, months_ahead, waiting);
    ELSE
        PERFORM @schema@.mcp_audit_move_at_once(moment, months_ahead, waiting);
    END IF;
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

REVOKE EXECUTE ON FUNCTION mcp_audit_free_name, mcp_audit_move_columns, mcp_audit_log_is_taken,
    mcp_audit_log_missing, mcp_audit_move_begin, mcp_audit_move_forget, mcp_audit_move_fits,
    mcp_audit_move_batch, mcp_audit_move_switch, mcp_audit_move_at_once FROM PUBLIC;
