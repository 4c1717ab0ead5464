// The tools on the TypeScript SDK 2.4.0, 2026-07-28. Arguments: port, URL of the API.
import { createServer } from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, inputRequired, McpServer } from '@modelcontextprotocol/server';

const [port, api] = process.argv.slice(2);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const entered = (tool) => console.log('entered', tool);
const text = (said) => ({ content: [{ type: 'text', text: said }] });

function tools({ requestInfo }) {
  const server = new McpServer({ name: 'tools', version: '1' });
  const tool = (name, does) => server.registerTool(name, { description: name }, does);
  tool('plain', async () => {
    const authorization = requestInfo.headers.get('authorization');
    await (await fetch(`${api}/api/v1/clusters`, { headers: { authorization } })).text();
    return text('done');
  });
  tool('fail', async () => { throw new Error('no'); });
  tool('hold', async () => { entered('hold'); await sleep(4000); return text('held'); });
  tool('progress', async ({ mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken;
    for (let progress = 1; progress <= 3 && progressToken !== undefined; progress++)
      await mcpReq.notify({
        method: 'notifications/progress', params: { progressToken, progress, total: 3 } });
    return text('done');
  });
  tool('ask', async ({ mcpReq }) => {
    const answer = mcpReq.inputResponses?.sure;
    if (answer) return text(`deleted: ${answer.action}`);
    entered('ask');
    return inputRequired({ inputRequests: { sure: inputRequired.elicit({
      message: 'Delete?',
      requestedSchema: { type: 'object', properties: { sure: { type: 'boolean' } } },
    }) } });
  });
  return server;
}

const mcp = toNodeHandler(createMcpHandler(tools));
createServer((request, response) => {
  if (request.url.startsWith('/api/')) response.setHeader('content-type', 'application/json').end('[]');
  else mcp(request, response);
}).listen(Number(port), '127.0.0.1');
