-- A trigger's function lends its owner's rights to every role that may attach it to a table. With a table of
-- its own, any role could write tool calls through this one, and change those that have not ended.
-- The trigger itself needs no right to run it.
REVOKE EXECUTE ON FUNCTION mcp_tool_invocation_goes_on FROM PUBLIC;
