-- Four roles with the least that each needs. Run as a superuser, in the audit log's database:
--
--     psql -d podwarden_audit -f deploy/roles.sql      before the first `migrate`: makes the roles
--     python -m audit_log migrate                      as podwarden_audit_owner
--     psql -d podwarden_audit -f deploy/roles.sql      again, now and after each `migrate`
--
-- No password is in here. Give each role one (`\password podwarden_audit_proxy` keeps it out of the
-- history and the log of the server), or a client certificate.
--
-- `-v shared=1` when the database holds other things too: then nothing is taken from PUBLIC.
-- The owner of an adopted `mcp_audit_log` changes; PodWarden's own role keeps no right on it
-- unless you grant it.
\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
BEGIN;

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest('{podwarden_audit_owner,podwarden_audit_proxy,podwarden_audit_ingest,
    podwarden_audit_api}'::text[]) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
GRANT CONNECT ON DATABASE :"DBNAME"
    TO podwarden_audit_owner, podwarden_audit_proxy, podwarden_audit_ingest, podwarden_audit_api;
GRANT USAGE, CREATE ON SCHEMA public TO podwarden_audit_owner;
GRANT USAGE ON SCHEMA public
    TO podwarden_audit_proxy, podwarden_audit_ingest, podwarden_audit_api;
\if :{?shared}
\else
REVOKE CONNECT, TEMPORARY ON DATABASE :"DBNAME" FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
\endif

-- What is granted below is all: rights of an earlier version of this file are taken back.
REVOKE ALL ON ALL TABLES IN SCHEMA public
    FROM podwarden_audit_proxy, podwarden_audit_ingest, podwarden_audit_api;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public
    FROM podwarden_audit_proxy, podwarden_audit_ingest, podwarden_audit_api;

SELECT to_regclass('public.mcp_audit_schema') IS NOT NULL AS is_migrated,
       to_regprocedure('public.mcp_tokens_announce()') IS NOT NULL AS has_own_tokens,
       EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('public.mcp_tokens')
           AND attname = 'owner') AS has_token_owners \gset

\if :is_migrated
-- Another role may have migrated so far: from now on the owner has every object, partitions too.
-- By name and not by pattern: in a shared database PodWarden's tables may have similar names.
SELECT format('ALTER TABLE public.%I OWNER TO podwarden_audit_owner', relname)
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
    AND (relname IN ('mcp_audit_schema', 'mcp_audit_log', 'mcp_audit_log_adopted',
                     'mcp_audit_gap', 'mcp_tool_invocation', 'mcp_audit_retention',
                     'mcp_audit_conversion', 'mcp_audit_log_converted',
                     'mcp_audit_move', 'mcp_audit_log_moving', 'mcp_audit_seal_log',
                     'mcp_audit_seal_checkpoint', 'mcp_audit_seal_tile', 'mcp_audit_seal_note',
                     'mcp_audit_seal_anchor', 'mcp_audit_read', 'mcp_audit_read_seal')
        OR relname = 'mcp_tokens' AND :'has_own_tokens'
        OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent IN (
            'public.mcp_audit_log'::regclass, to_regclass('public.mcp_audit_log_converted'),
            to_regclass('public.mcp_audit_log_moving'))))
ORDER BY relname \gexec
SELECT format('ALTER FUNCTION %s OWNER TO podwarden_audit_owner', oid::regprocedure)
FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND proname IN (
    'mcp_audit_log_ensure_partitions', 'mcp_tokens_announce', 'mcp_audit_extent',
    'mcp_audit_beyond', 'mcp_audit_purge', 'mcp_audit_columns', 'mcp_audit_convert_begin',
    'mcp_audit_convert_batch', 'mcp_audit_convert_switch', 'mcp_audit_log_convert',
    'mcp_audit_free_name', 'mcp_audit_log_is_taken', 'mcp_audit_log_missing', 'mcp_audit_log_move',
    'mcp_audit_move_columns', 'mcp_audit_move_begin', 'mcp_audit_move_forget',
    'mcp_audit_move_fits', 'mcp_audit_move_batch', 'mcp_audit_move_switch',
    'mcp_audit_move_at_once', 'mcp_tool_invocation_goes_on', 'mcp_audit_appended',
    'mcp_audit_seal_newest', 'mcp_audit_seal_path', 'mcp_audit_seal_prune')
ORDER BY proname \gexec

-- INSERT alone is enough: sidecar and ingest append with `ON CONFLICT DO NOTHING` without a target, or
-- with COPY. An ON CONFLICT (…) or a RETURNING would ask for SELECT.
GRANT INSERT ON public.mcp_audit_log, public.mcp_audit_gap, public.mcp_tool_invocation,
    public.mcp_audit_seal_log, public.mcp_audit_seal_checkpoint, public.mcp_audit_seal_tile,
    public.mcp_audit_seal_note, public.mcp_audit_seal_anchor
    TO podwarden_audit_proxy, podwarden_audit_ingest;
-- A witness that lags is shown how the log has grown since, by hashes that are no secret.
GRANT SELECT ON public.mcp_audit_seal_tile TO podwarden_audit_proxy;
GRANT EXECUTE ON FUNCTION public.mcp_audit_log_ensure_partitions
    TO podwarden_audit_proxy, podwarden_audit_ingest;
-- It lets go what the owner's retention says, and nothing else. The ingest lets nothing go.
GRANT EXECUTE ON FUNCTION public.mcp_audit_purge, public.mcp_audit_seal_prune
    TO podwarden_audit_proxy;

-- mcp_audit_schema: whether the schema is up to date is a part of the audit API's health.
GRANT SELECT ON public.mcp_audit_log, public.mcp_audit_gap, public.mcp_tool_invocation,
    public.mcp_audit_seal_log, public.mcp_audit_seal_checkpoint, public.mcp_audit_seal_tile,
    public.mcp_audit_seal_note, public.mcp_audit_seal_anchor,
    public.mcp_audit_read, public.mcp_audit_schema TO podwarden_audit_api;
-- Who read the log: the audit API adds each read, and changes none.
GRANT INSERT ON public.mcp_audit_read TO podwarden_audit_api;
-- With AUDIT_API_SEAL_DIR it seals them, in a log of its own. Nobody trusts these tables.
GRANT INSERT ON public.mcp_audit_seal_log, public.mcp_audit_seal_checkpoint,
    public.mcp_audit_seal_tile, public.mcp_audit_seal_note TO podwarden_audit_api;
GRANT SELECT, INSERT, UPDATE ON public.mcp_audit_read_seal TO podwarden_audit_api;
\else
\echo 'The roles are there. Next: migrate as podwarden_audit_owner, then run this file again.'
\endif

\if :has_own_tokens
GRANT SELECT (id, name, role, token_hash, expires_at, revoked_at) ON public.mcp_tokens
    TO podwarden_audit_proxy, podwarden_audit_ingest, podwarden_audit_api;
\if :has_token_owners
-- Shown to readers of the audit log; no call needs them.
GRANT SELECT (created_at, owner, description) ON public.mcp_tokens TO podwarden_audit_api;
\endif
\elif :is_migrated
\echo 'The tokens are PodWarden\'s: grant SELECT on what PROXY_TOKEN_QUERY and AUDIT_API_TOKEN_QUERY read.'
\endif
COMMIT;
