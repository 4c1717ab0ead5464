-- Who has a token and what for, in our own table of tokens. PodWarden's is not touched.
DO $migration$
BEGIN
    IF EXISTS (
        SELECT FROM pg_trigger
        WHERE tgrelid = to_regclass('mcp_tokens') AND tgfoid = to_regproc('mcp_tokens_announce')
    ) THEN
        ALTER TABLE mcp_tokens ADD COLUMN owner text, ADD COLUMN description text;
    END IF;
END
$migration$;
