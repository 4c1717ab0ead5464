#!/bin/sh
# supergateway 4.0.0 between a client on standard streams and a server on Streamable HTTP, with
# @modelcontextprotocol/sdk 1.32.2 on both sides, Node 20: it declares its client's `elicitation` to
# the server and then answers `elicitation/create` itself with -32601, so the client is never asked
# and a tool that asks fails, as it cannot see that the bridge has no such feature.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true}' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts --cache "$folder/cache" \
    @modelcontextprotocol/sdk@1.32.2 supergateway@4.0.0
cat >ask.mjs <<'JAVASCRIPT'
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';

// Call a tool that asks its client, over a way to the server; tell what each side saw.
async function play(wayTo) {
  const seen = { declared: false, asked: 0, answer: '' };
  const tools = new McpServer({ name: 'tools', version: '1' });
  tools.registerTool('remove', {}, async ({ requestId }) => {
    seen.declared = 'elicitation' in tools.server.getClientCapabilities();
    const requestedSchema = { type: 'object', properties: {} };
    const { action } = await tools.server.elicitInput(
      { message: 'Remove it?', requestedSchema }, { relatedRequestId: requestId });
    return { content: [{ type: 'text', text: action }] };
  });
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: randomUUID });
  await tools.connect(transport);
  const server = createServer((request, response) => transport.handleRequest(request, response));
  await once(server.listen(0, '127.0.0.1'), 'listening');

  const client = new Client(
    { name: 'client', version: '1' }, { capabilities: { elicitation: {} } });
  client.setRequestHandler(ElicitRequestSchema, () => {
    seen.asked += 1;
    return { action: 'decline' };
  });
  await client.connect(wayTo(`http://127.0.0.1:${server.address().port}/`));
  const result = await client.callTool({ name: 'remove' });
  seen.answer = result.content[0].text;
  await client.close();
  await tools.close();
  server.closeAllConnections();
  server.close();
  return seen;
}

const ways = {
  'direct': (url) => new StreamableHTTPClientTransport(new URL(url)),
  'supergateway': (url) => new StdioClientTransport({
    command: process.execPath,
    args: ['node_modules/supergateway/dist/index.js', '--streamableHttp', url, '--logLevel', 'none'],
  }),
};
const seen = {};
for (const [name, wayTo] of Object.entries(ways)) {
  seen[name] = await play(wayTo);
  console.log(`${name}: ${JSON.stringify(seen[name])}`);
}
const { direct, supergateway } = seen;
const isAsTold = direct.declared && direct.asked === 1 && direct.answer === 'decline'
  && supergateway.declared && supergateway.asked === 0 && supergateway.answer.includes('-32601');
process.exitCode = isAsTold ? 0 : 1;
JAVASCRIPT
node ask.mjs
