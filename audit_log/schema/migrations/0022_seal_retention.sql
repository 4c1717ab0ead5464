-- What retention lets go of the seal. The hashes of a tile are of no use when all of its rows are gone,
-- but the way from its times leaf to its root is: it proves that those rows were old enough. So 8
-- hashes stay of 256: the neighbours of that way, from the last leaf up.
CREATE INDEX mcp_audit_seal_tile_full ON mcp_audit_seal_tile (log, number)
    WHERE level = 0 AND octet_length(hashes) = 8192;

-- As in 0008: owner's rights are lent, so every name is in full.
DO $migration$
DECLARE
    definition text;
BEGIN
    FOREACH definition IN ARRAY ARRAY[$create$
-- Returns when the newest line of a tile was made, by its times leaf (audit_log/seal/times.py); null
-- if it cannot be read.
CREATE FUNCTION @schema@.mcp_audit_seal_newest(data text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE STRICT
@settings@
AS $function$
DECLARE
    second numeric;
    newest numeric;
    value numeric := 0;
    scale numeric := 1;
    differences bytea;
    byte integer;
BEGIN
    second := (data::jsonb ->> 1)::bigint;
    differences := decode(data::jsonb ->> 2, 'base64');
    FOR at IN 0..octet_length(differences) - 1 LOOP
        byte := get_byte(differences, at);
        value := value + (byte & 127) * scale;
        scale := scale * 128;
        IF byte < 128 THEN
            second := second + CASE mod(value, 2) WHEN 0 THEN value / 2 ELSE -(value + 1) / 2 END;
            newest := greatest(newest, second);
            value := 0;
            scale := 1;
        END IF;
    END LOOP;
    RETURN to_timestamp((newest + 1)::double precision);
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$function$;
$create$, $create$
-- Returns what stays of a tile of 256 hashes.
CREATE FUNCTION @schema@.mcp_audit_seal_path(hashes bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT
@settings@
AS $function$
DECLARE
    nodes bytea := hashes;
    path bytea := '';
    width integer := 256;
BEGIN
    WHILE width > 1 LOOP
        path := path || substr(nodes, 32 * (width - 2) + 1, 32);
        width := width / 2;
        SELECT string_agg(sha256('\x01'::bytea || substr(nodes, 64 * at + 1, 64)), '' ORDER BY at)
            INTO nodes FROM generate_series(0, width - 1) AS at;
    END LOOP;
    RETURN path;
END
$function$;
$create$, $create$
-- Removes some of what the seal needs no longer, and tells of what table how much; nothing when
-- nothing is left, or while somebody else is at it:
--
-- - of tiles, and the notes in them, when all of their lines have been let go: see above;
-- - of an open tile, what was stored before it was full;
-- - of checkpoints and what was said to them, after a day, all but the newest of each hour; all but
--   the newest of each day when the records of that time have been let go.
--
-- It lets nothing go that is younger than the retention that is applied, or than any row.
CREATE FUNCTION @schema@.mcp_audit_seal_prune(batch integer)
RETURNS TABLE (name text, records bigint)
LANGUAGE plpgsql
STRICT
SECURITY DEFINER
SET lock_timeout = '300ms'
@settings@
AS $function$
#variable_conflict use_column
DECLARE
    applied @schema@.mcp_audit_retention;
    oldest timestamptz;
    let_go timestamptz;
    tile record;
BEGIN
    IF batch NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'batch must be between 1 and 10000';
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtext('mcp_audit_purge')) THEN
        RETURN;
    END IF;
    SELECT * INTO STRICT applied FROM @schema@.mcp_audit_retention;
    oldest := least((SELECT min(created_at) FROM @schema@.mcp_audit_log),
        (SELECT min(created_at) FROM @schema@.mcp_tool_invocation),
        (SELECT min(ended_at) FROM @schema@.mcp_audit_gap), 'infinity');
    let_go := '-infinity';
    IF applied.days IS NOT NULL THEN
        let_go := now() - make_interval(days => applied.days);
    END IF;
    IF applied.budget_reached_at IS NOT NULL THEN
        let_go := greatest(let_go, least(oldest, now() - interval '1 day'));
    END IF;
    let_go := least(let_go, oldest);

    records := 0;
    IF let_go > '-infinity' THEN
        FOR tile IN
            SELECT old.log, old.number FROM (SELECT DISTINCT log FROM @schema@.mcp_audit_seal_log)
                AS logs
            CROSS JOIN LATERAL (
                SELECT DISTINCT full_tile.log, full_tile.number FROM (
                    SELECT log, number FROM @schema@.mcp_audit_seal_tile
                    WHERE log = logs.log AND level = 0 AND octet_length(hashes) = 8192
                    ORDER BY number LIMIT batch) AS full_tile) AS old
            WHERE let_go > (
                SELECT CASE WHEN bool_and(newest.moment IS NOT NULL) THEN max(newest.moment) END
                FROM @schema@.mcp_audit_seal_note AS note
                CROSS JOIN LATERAL (
                    SELECT @schema@.mcp_audit_seal_newest(note.data) AS moment) AS newest
                WHERE note.log = old.log AND note.seq = 256 * old.number + 255)
        LOOP
            UPDATE @schema@.mcp_audit_seal_tile AS stored
            SET hashes = @schema@.mcp_audit_seal_path(stored.hashes)
            WHERE stored.log = tile.log AND stored.level = 0 AND stored.number = tile.number
                AND octet_length(stored.hashes) = 8192;
            DELETE FROM @schema@.mcp_audit_seal_note AS note
            WHERE note.log = tile.log AND note.seq >= 256 * tile.number
                AND note.seq < 256 * tile.number + 255 AND note.count = 1
                AND (note.data LIKE '["entry"%' OR note.data LIKE '["tool_call"%'
                    OR note.data LIKE '["quarantined"%');
            records := records + 1;
        END LOOP;
    END IF;
    IF records > 0 THEN
        name := 'mcp_audit_seal_tile';
        RETURN NEXT;
        RETURN;
    END IF;

    DELETE FROM @schema@.mcp_audit_seal_tile AS part
    WHERE level = 0 AND octet_length(hashes) < 8192 AND EXISTS (
        SELECT FROM @schema@.mcp_audit_seal_tile AS full_tile
        WHERE full_tile.log = part.log AND full_tile.level = 0 AND full_tile.number = part.number
            AND octet_length(full_tile.hashes) = 8192);
    GET DIAGNOSTICS records = ROW_COUNT;
    IF records > 0 THEN
        name := 'mcp_audit_seal_tile';
        RETURN NEXT;
    END IF;

    DELETE FROM @schema@.mcp_audit_seal_checkpoint WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM (
            SELECT ctid, row_number() OVER (
                PARTITION BY log, CASE WHEN arrived_at < let_go THEN date_trunc('day', arrived_at)
                    ELSE date_trunc('hour', arrived_at) END
                ORDER BY size DESC, arrived_at DESC) AS place
            FROM @schema@.mcp_audit_seal_checkpoint WHERE arrived_at < now() - interval '1 day'
        ) AS old WHERE place > 1 LIMIT batch * 10));
    GET DIAGNOSTICS records = ROW_COUNT;
    IF records > 0 THEN
        name := 'mcp_audit_seal_checkpoint';
        RETURN NEXT;
    END IF;
    DELETE FROM @schema@.mcp_audit_seal_anchor WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM (
            SELECT ctid, row_number() OVER (
                PARTITION BY log, anchor,
                    CASE WHEN arrived_at < let_go THEN date_trunc('day', arrived_at)
                    ELSE date_trunc('hour', arrived_at) END
                ORDER BY size DESC, arrived_at DESC) AS place
            FROM @schema@.mcp_audit_seal_anchor WHERE arrived_at < now() - interval '1 day'
        ) AS old WHERE place > 1 LIMIT batch * 10));
    GET DIAGNOSTICS records = ROW_COUNT;
    IF records > 0 THEN
        name := 'mcp_audit_seal_anchor';
        RETURN NEXT;
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

REVOKE EXECUTE ON FUNCTION
    mcp_audit_seal_newest, mcp_audit_seal_path, mcp_audit_seal_prune FROM PUBLIC;
