-- Tokens, for installations without PodWarden's own table. A table that exists is not touched.
DO $migration$
BEGIN
    IF to_regclass('mcp_tokens') IS NOT NULL THEN
        RETURN;
    END IF;

    CREATE TABLE mcp_tokens (
        id uuid PRIMARY KEY,
        name text NOT NULL,
        role text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
        token_hash text NOT NULL UNIQUE,  -- hex SHA-256; the token itself is never stored
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL,
        revoked_at timestamptz
    );

    -- Tells every sidecar at once which token it should look up again.
    CREATE FUNCTION mcp_tokens_announce() RETURNS trigger LANGUAGE plpgsql AS $function$
    BEGIN
        PERFORM pg_notify('mcp_tokens_changed', coalesce(NEW.token_hash, OLD.token_hash));
        RETURN NULL;
    END
    $function$;

    CREATE TRIGGER mcp_tokens_announce AFTER INSERT OR UPDATE OR DELETE ON mcp_tokens
        FOR EACH ROW EXECUTE FUNCTION mcp_tokens_announce();
END
$migration$;
