-- An adopted table becomes a partitioned one while it is in use: a copy is made beside it in
-- batches, a trigger brings every change of the table to the copy in the same transaction, and at
-- the end the two change names. Until then all questions are answered by the table as it was.
-- Run by the owner alone (conversion.py).
CREATE TABLE mcp_audit_conversion (
    is_the_row boolean PRIMARY KEY DEFAULT true CHECK (is_the_row),
    columns text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT '-infinity',  -- up to here all is copied,
    id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',  -- and to here within that
    copied bigint NOT NULL DEFAULT 0,
    switched_at timestamptz
);

CREATE FUNCTION mcp_audit_columns() RETURNS text LANGUAGE sql STABLE AS $function$
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
    WHERE attrelid = 'mcp_audit_log'::regclass AND attnum > 0 AND NOT attisdropped
        AND attgenerated = ''
$function$;

CREATE FUNCTION mcp_audit_convert_begin() RETURNS void
LANGUAGE plpgsql
SET lock_timeout = '300ms'
SET TimeZone = 'UTC'
SET DateStyle = 'ISO'
AS $function$
DECLARE
    columns CONSTANT text := mcp_audit_columns();
    month timestamptz;
    item record;
BEGIN
    IF EXISTS (SELECT FROM mcp_audit_conversion AS c WHERE c.columns = mcp_audit_columns()) THEN
        RETURN;  -- goes on where it stood
    END IF;
    IF EXISTS (SELECT FROM mcp_audit_log WHERE created_at IS NULL) THEN
        RAISE EXCEPTION 'mcp_audit_log holds rows without created_at: give them one, or delete them';
    END IF;
    -- Nothing was begun, or the table got other columns since.
    DROP TRIGGER IF EXISTS mcp_audit_log_convert ON mcp_audit_log;
    DROP TABLE IF EXISTS mcp_audit_log_converted;
    DELETE FROM mcp_audit_conversion;

    CREATE TABLE mcp_audit_log_converted (
        LIKE mcp_audit_log INCLUDING ALL EXCLUDING INDEXES EXCLUDING STATISTICS,
        PRIMARY KEY (created_at, id)
    ) PARTITION BY RANGE (created_at);
    -- The primary key answers what mcp_audit_log_by_time does.
    FOR item IN
        SELECT relname, pg_get_indexdef(indexrelid) AS definition
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE indrelid = 'mcp_audit_log'::regclass AND NOT indisunique
            AND relname <> 'mcp_audit_log_by_time'
    LOOP
        EXECUTE regexp_replace(item.definition, '^CREATE INDEX \S+ ON \S+ ',
            format('CREATE INDEX %I ON mcp_audit_log_converted ', item.relname || '_converted'));
    END LOOP;

    CREATE TABLE mcp_audit_log_default PARTITION OF mcp_audit_log_converted DEFAULT;
    FOR month IN
        WITH RECURSIVE used AS (
            SELECT date_trunc('month', min(created_at)) AS month FROM mcp_audit_log
            WHERE created_at >= now() - interval '10 years'
            UNION ALL
            SELECT (SELECT date_trunc('month', min(created_at)) FROM mcp_audit_log
                    WHERE created_at >= used.month + interval '1 month')
            FROM used WHERE isfinite(used.month)
        )
        SELECT used.month FROM used WHERE used.month < now() + interval '3 months'
        UNION
        SELECT date_trunc('month', now()) + make_interval(months => step)
        FROM generate_series(0, 3) AS step
    LOOP
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF mcp_audit_log_converted FOR VALUES FROM (%L) TO (%L)',
            'mcp_audit_log_' || to_char(month, 'YYYY_MM'), month, month + interval '1 month');
    END LOOP;

    FOR item IN
        SELECT privilege_type, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
            AS grantee
        FROM pg_class CROSS JOIN aclexplode(relacl) WHERE pg_class.oid = 'mcp_audit_log'::regclass
    LOOP
        EXECUTE format(
            'GRANT %s ON mcp_audit_log_converted TO %s', item.privilege_type, item.grantee);
    END LOOP;

    -- With its owner's rights: whoever writes needs none on the copy. It sees no function and no
    -- operator but PostgreSQL's, and serves no other table, which would tell it lies.
    EXECUTE format($create$
        CREATE OR REPLACE FUNCTION mcp_audit_log_convert() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $trigger$
        BEGIN
            IF TG_RELID <> '%1$I.mcp_audit_log'::regclass THEN
                RAISE EXCEPTION 'mcp_audit_log_convert is for mcp_audit_log alone';
            END IF;
            IF TG_OP <> 'INSERT' THEN
                DELETE FROM %1$I.mcp_audit_log_converted AS copy
                WHERE copy.created_at = OLD.created_at AND copy.id = OLD.id;
            END IF;
            IF TG_OP <> 'DELETE' THEN
                INSERT INTO %1$I.mcp_audit_log_converted (%2$s) SELECT %3$s ON CONFLICT DO NOTHING;
            END IF;
            RETURN NULL;
        END $trigger$ $create$,
        current_schema(), columns, 'NEW.' || replace(columns, ', ', ', NEW.'));
    REVOKE EXECUTE ON FUNCTION mcp_audit_log_convert FROM PUBLIC;
    CREATE TRIGGER mcp_audit_log_convert AFTER INSERT OR UPDATE OR DELETE ON mcp_audit_log
        FOR EACH ROW EXECUTE FUNCTION mcp_audit_log_convert();
    INSERT INTO mcp_audit_conversion (columns) VALUES (columns);
END
$function$;

-- Copies the next records and says how many. Rows that somebody else is changing make it give up
-- (55P03): waiting for them while holding others could end in a deadlock.
CREATE FUNCTION mcp_audit_convert_batch(batch integer) RETURNS bigint
LANGUAGE plpgsql STRICT AS $function$
DECLARE
    place mcp_audit_conversion;
    last record;
BEGIN
    SELECT * INTO STRICT place FROM mcp_audit_conversion FOR UPDATE;
    EXECUTE format(
        'WITH piece AS MATERIALIZED ('
        ' SELECT %1$s FROM mcp_audit_log WHERE (created_at, id) > ($1, $2)'
        ' ORDER BY created_at, id LIMIT $3 FOR SHARE NOWAIT'
        '), copied AS ('
        ' INSERT INTO mcp_audit_log_converted (%1$s) SELECT %1$s FROM piece'
        ' ON CONFLICT DO NOTHING)'
        ' SELECT created_at, id, count(*) OVER () AS records FROM piece'
        ' ORDER BY created_at DESC, id DESC LIMIT 1', place.columns)
    INTO last USING place.created_at, place.id, batch;
    IF last.records IS NULL THEN
        RETURN 0;
    END IF;
    UPDATE mcp_audit_conversion
    SET created_at = last.created_at, id = last.id, copied = copied + last.records;
    RETURN last.records;
END
$function$;

-- The copy takes the name, and the old table keeps its rows as mcp_audit_log_adopted.
CREATE FUNCTION mcp_audit_convert_switch() RETURNS void
LANGUAGE plpgsql
SET lock_timeout = '300ms'
AS $function$
DECLARE
    item record;
BEGIN
    LOCK TABLE mcp_audit_log IN ACCESS EXCLUSIVE MODE;
    DROP TRIGGER mcp_audit_log_convert ON mcp_audit_log;
    DROP FUNCTION mcp_audit_log_convert;
    FOR item IN SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE indrelid = 'mcp_audit_log'::regclass
    LOOP
        EXECUTE format('ALTER INDEX %I RENAME TO %I', item.relname, item.relname || '_adopted');
        IF to_regclass(quote_ident(item.relname || '_converted')) IS NOT NULL THEN
            EXECUTE format('ALTER INDEX %I RENAME TO %I', item.relname || '_converted', item.relname);
        END IF;
    END LOOP;
    FOR item IN SELECT objid::regclass AS sequence, attname FROM pg_depend
        JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
        WHERE refobjid = 'mcp_audit_log'::regclass AND deptype = 'a'
            AND classid = 'pg_class'::regclass
            AND objid IN (SELECT oid FROM pg_class WHERE relkind = 'S')
    LOOP
        EXECUTE format(
            'ALTER SEQUENCE %s OWNED BY mcp_audit_log_converted.%I', item.sequence, item.attname);
    END LOOP;
    ALTER TABLE mcp_audit_log RENAME TO mcp_audit_log_adopted;
    ALTER TABLE mcp_audit_log_converted RENAME TO mcp_audit_log;
    ALTER INDEX mcp_audit_log_converted_pkey RENAME TO mcp_audit_log_pkey;
    UPDATE mcp_audit_conversion SET switched_at = now();
END
$function$;

REVOKE EXECUTE ON FUNCTION
    mcp_audit_columns, mcp_audit_convert_begin, mcp_audit_convert_batch, mcp_audit_convert_switch
    FROM PUBLIC;
