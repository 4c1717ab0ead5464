#!/bin/sh
# @modelcontextprotocol/sdk 1.32.2 (the TypeScript SDK), Node 20: `client.close()` right after a tool
# call's signal was aborted also aborts the POST with its `notifications/cancelled`, so the server
# never hears of it and the tool works to its end; with one `ping` in between the tool stops. It
# bites programs that end when their user cancels: the tool outlives the client that cancelled it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true}' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts --cache "$folder/cache" \
    @modelcontextprotocol/sdk@1.32.2
cat >cancel.mjs <<'JAVASCRIPT'
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';

// Have one client call a tool of one session, cancel it and close; tell how the tool ended.
async function endOfTool(isPinged) {
  const tools = new McpServer({ name: 'tools', version: '1' });
  const controller = new AbortController();
  let end;
  const ended = new Promise((resolve) => { end = resolve; });
  tools.registerTool('work', {}, async ({ signal }) => {
    controller.abort(); // the tool has begun: its caller cancels the call
    await pause(2000, undefined, { signal }).then(() => end('done'), () => end('stopped'));
    return { content: [] };
  });
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: randomUUID });
  await tools.connect(transport);
  const server = createServer((request, response) => transport.handleRequest(request, response));
  await once(server.listen(0, '127.0.0.1'), 'listening');

  const client = new Client({ name: 'client', version: '1' });
  await client.connect(
    new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${server.address().port}/`)));
  await client.callTool({ name: 'work' }, undefined, { signal: controller.signal }).catch(() => {});
  if (isPinged) await client.ping();
  await client.close();
  const how = await ended;
  await tools.close();
  server.closeAllConnections();
  server.close();
  return how;
}

const seen = { 'close at once': [], 'ping, then close': [] };
for (let attempt = 0; attempt < 5; attempt++) {
  seen['close at once'].push(await endOfTool(false));
  seen['ping, then close'].push(await endOfTool(true));
}
for (const [way, ends] of Object.entries(seen)) console.log(`${way}: the tool is ${ends}`);
const isAsTold = seen['close at once'].every((end) => end === 'done')
  && seen['ping, then close'].every((end) => end === 'stopped');
process.exitCode = isAsTold ? 0 : 1;
JAVASCRIPT
node cancel.mjs
