-- Gives the roles of roles.sql their passwords, from the environment. For compose.yaml.
\set ON_ERROR_STOP on
\getenv owner OWNER_PASSWORD
\getenv proxy PROXY_PASSWORD
\getenv api API_PASSWORD
\getenv ingest INGEST_PASSWORD
-- The statement would be logged with the password in it.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
ALTER ROLE podwarden_audit_owner PASSWORD :'owner';
ALTER ROLE podwarden_audit_proxy PASSWORD :'proxy';
ALTER ROLE podwarden_audit_api PASSWORD :'api';
-- Without compose.nats.yaml there is no ingest: its role stays without one, and cannot log in.
\if :{?ingest}
ALTER ROLE podwarden_audit_ingest PASSWORD :'ingest';
\endif
