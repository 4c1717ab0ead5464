-- The audit log: made here, or PodWarden's own adopted. An adopted table loses nothing and keeps
-- taking PodWarden's INSERTs; whether its columns fit has been checked before (adoption.py).
DO $migration$
BEGIN
    IF to_regclass('mcp_audit_log') IS NULL THEN
        CREATE TABLE mcp_audit_log (
            id uuid NOT NULL,
            token_id uuid,
            token_name text NOT NULL,
            method text NOT NULL,
            path text NOT NULL,
            status_code smallint NOT NULL,
            created_at timestamptz NOT NULL,
            outcome text NOT NULL,
            duration_ms real,
            client_ip inet,
            user_agent text,
            tool text,
            invocation_id uuid,
            attribution text,
            request_id text,
            instance text NOT NULL,
            -- Time first: read backwards this index answers "the newest of all tokens", and rows
            -- that arrive in order of time only ever touch its last page.
            PRIMARY KEY (created_at, id)
        ) PARTITION BY RANGE (created_at);

        -- Catches the records of a clock gone astray until their month is made.
        CREATE TABLE mcp_audit_log_default PARTITION OF mcp_audit_log DEFAULT;
    ELSE
        -- The defaults tell the truth about what PodWarden writes: it records after the response.
        ALTER TABLE mcp_audit_log
            ADD COLUMN IF NOT EXISTS token_id uuid,
            ADD COLUMN IF NOT EXISTS outcome text NOT NULL DEFAULT 'completed',
            ADD COLUMN IF NOT EXISTS duration_ms real,
            ADD COLUMN IF NOT EXISTS client_ip inet,
            ADD COLUMN IF NOT EXISTS user_agent text,
            ADD COLUMN IF NOT EXISTS tool text,
            ADD COLUMN IF NOT EXISTS invocation_id uuid,
            ADD COLUMN IF NOT EXISTS attribution text,
            ADD COLUMN IF NOT EXISTS request_id text,
            ADD COLUMN IF NOT EXISTS instance text NOT NULL DEFAULT 'podwarden';

        CREATE INDEX IF NOT EXISTS mcp_audit_log_by_time
            ON mcp_audit_log (created_at DESC, id DESC);

        -- Appending twice leaves one record only if something keeps ids apart.
        IF NOT EXISTS (
            SELECT FROM pg_index
            WHERE indrelid = 'mcp_audit_log'::regclass AND indisunique AND indpred IS NULL
                AND indkey::text = (
                    SELECT attnum::text FROM pg_attribute
                    WHERE attrelid = 'mcp_audit_log'::regclass AND attname = 'id')
        ) THEN
            CREATE UNIQUE INDEX mcp_audit_log_by_id ON mcp_audit_log (id);
        END IF;
    END IF;

    CREATE INDEX IF NOT EXISTS mcp_audit_log_by_token
        ON mcp_audit_log (token_id, created_at DESC, id DESC);
END
$migration$;
