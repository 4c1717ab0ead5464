-- Records known to be missing.
CREATE TABLE mcp_audit_gap (
    id uuid PRIMARY KEY,
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    count bigint,  -- null when it cannot be known
    reason text NOT NULL,
    instance text NOT NULL
);
