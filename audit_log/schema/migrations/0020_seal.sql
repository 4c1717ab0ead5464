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

-- As in 0016: the newer version brings its place along.
DO $migration$
DECLARE
    definition CONSTANT text := pg_get_functiondef('mcp_tool_invocation_goes_on'::regproc);
    before CONSTANT text := 'arrived_at = excluded.arrived_at';
BEGIN
    IF position(before IN definition) = 0 THEN
        RAISE EXCEPTION 'function mcp_tool_invocation_goes_on is not as the migrations made it';
    END IF;
    EXECUTE replace(definition, before,
        before || ',' || chr(10) || '        seq = excluded.seq, log = excluded.log');
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
    IF columns <> copied || ', seq, log' THEN
        -- The table had got other columns before: a new copy is needed.
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
