// Sends a token with every request that the conformance suite makes: it has no option for one.
const authorization = `Bearer ${process.env.MCP_BEARER}`;
const send = globalThis.fetch;

globalThis.fetch = (resource, options = {}) => {
  const headers = new Headers(options.headers);
  headers.set("Authorization", authorization);
  return send(resource, { ...options, headers });
};
