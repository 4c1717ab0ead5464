-- The seal: each row names the leaf that it has in the Merkle tree of its sidecar (docs/seal.md). Rows
-- that are there already, and those of older sidecars, have none.
ALTER TABLE mcp_audit_log ADD COLUMN seq bigint, ADD COLUMN log integer;
ALTER TABLE mcp_tool_invocation ADD COLUMN seq bigint, ADD COLUMN log integer;
ALTER TABLE mcp_audit_gap ADD COLUMN seq bigint, ADD COLUMN log integer;

-- What the trees consist of. No row of these tables is trusted: a checkpoint that is kept elsewhere
-- tells which are right. So they have no unique keys, and what is written twice does no harm.
CREATE TABLE mcp_audit_seal_log (
    log integer NOT NULL,
    origin text NOT NULL,
    key text NOT NULL,
    instance text NOT NULL,
    first_line bigint NOT NULL,  -- of the journal: rows of earlier lines are not sealed
    begun_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE mcp_audit_seal_checkpoint (
    log integer NOT NULL,
    size bigint NOT NULL,
    note text NOT NULL,
    arrived_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX mcp_audit_seal_checkpoint_newest ON mcp_audit_seal_checkpoint (log, size DESC);
CREATE TABLE mcp_audit_seal_tile (
    log integer NOT NULL,
    level smallint NOT NULL,
    number bigint NOT NULL,
    hashes bytea NOT NULL,  -- 256 of 32 bytes
    arrived_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX mcp_audit_seal_tile_by_place ON mcp_audit_seal_tile (log, level, number);
-- Hashes are random: to try to compress them is work for nothing.
ALTER TABLE mcp_audit_seal_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;
-- Leaves that no row gives.
CREATE TABLE mcp_audit_seal_note (
    log integer NOT NULL,
    seq bigint NOT NULL,
    count bigint NOT NULL DEFAULT 1,
    data text NOT NULL,
    arrived_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX mcp_audit_seal_note_by_place ON mcp_audit_seal_note (log, seq);
-- Who else keeps checkpoints, and what he said to each.
CREATE TABLE mcp_audit_seal_anchor (
    log integer NOT NULL,
    size bigint NOT NULL,
    anchor text NOT NULL,
    receipt text NOT NULL,
    anchored_at timestamptz NOT NULL,
    arrived_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX mcp_audit_seal_anchor_newest ON mcp_audit_seal_anchor (log, size DESC);

-- As in 0016. The newer version replaces all of the row, place included: so the row gives its leaf.
DO $migration$
BEGIN
    EXECUTE replace($create$
CREATE OR REPLACE FUNCTION @schema@.mcp_tool_invocation_goes_on() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    INSERT INTO @schema@.mcp_tool_invocation AS stored SELECT NEW.*
    ON CONFLICT (id) DO UPDATE SET
        token_id = excluded.token_id, token_name = excluded.token_name, tool = excluded.tool,
        created_at = excluded.created_at, duration_ms = excluded.duration_ms,
        outcome = excluded.outcome, status_code = excluded.status_code,
        error_code = excluded.error_code, api_calls = excluded.api_calls,
        origin = excluded.origin, client_ip = excluded.client_ip,
        request_id = excluded.request_id, instance = excluded.instance,
        arrived_at = excluded.arrived_at, session = excluded.session,
        protocol_version = excluded.protocol_version, client_name = excluded.client_name,
        client_version = excluded.client_version, user_agent = excluded.user_agent,
        rounds = excluded.rounds, principal = excluded.principal, claims = excluded.claims,
        seq = excluded.seq, log = excluded.log
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

-- An adopted table that is being converted: the copy gets the columns too, and the conversion goes
-- on. (A move out of the default partition finds other columns, and begins again: see 0011.)
DO $migration$
DECLARE
    columns CONSTANT text := mcp_audit_columns();
    definition text;
    copied text;
BEGIN
    SELECT c.columns INTO copied FROM mcp_audit_conversion AS c WHERE switched_at IS NULL;
    IF copied IS NULL THEN
        RETURN;
    END IF;
    IF columns <> copied || ', seq, log' OR EXISTS (
        SELECT FROM pg_attribute AS one JOIN pg_attribute AS other USING (attname)
        WHERE one.attrelid = 'mcp_audit_log'::regclass AND one.attnum > 0
            AND other.attrelid = to_regclass('mcp_audit_log_converted')
            AND (one.atttypid, one.atttypmod) <> (other.atttypid, other.atttypmod))
    THEN
        -- The table has got other columns since: a new copy is needed.
        DROP TRIGGER IF EXISTS mcp_audit_log_convert ON mcp_audit_log;
        DROP TABLE IF EXISTS mcp_audit_log_converted;
        DELETE FROM mcp_audit_conversion;
        RETURN;
    END IF;
    ALTER TABLE mcp_audit_log_converted ADD COLUMN seq bigint, ADD COLUMN log integer;
    definition := pg_get_functiondef('mcp_audit_log_convert'::regproc);
    EXECUTE replace(replace(definition,
        '(' || copied || ')', '(' || columns || ')'),
        'NEW.' || replace(copied, ', ', ', NEW.'), 'NEW.' || replace(columns, ', ', ', NEW.'));
    UPDATE mcp_audit_conversion AS c SET columns = mcp_audit_columns();
END
$migration$;
