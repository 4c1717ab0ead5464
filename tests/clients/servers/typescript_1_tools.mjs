// The tools on the TypeScript SDK 1.32.2, with its tasks. Arguments: port, URL of the API.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { InMemoryTaskStore } from '@modelcontextprotocol/sdk/experimental/tasks/stores/in-memory.js';
import { z } from 'zod';

const [port, api] = process.argv.slice(2);
const taskStore = new InMemoryTaskStore();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const entered = (tool) => console.log('entered', tool);
const text = (said) => ({ content: [{ type: 'text', text: said }] });
const sessions = new Map();

class Events {
  kept = [];
  async storeEvent(streamId, message) {
    this.kept.push({ id: String(this.kept.length + 1), streamId, message });
    return String(this.kept.length);
  }
  async getStreamIdForEventId(eventId) {
    return this.kept[eventId - 1]?.streamId;
  }
  async replayEventsAfter(lastEventId, { send }) {
    const { streamId } = this.kept[lastEventId - 1];
    for (const event of this.kept.slice(Number(lastEventId)))
      if (event.streamId === streamId && Object.keys(event.message).length) await send(event.id, event.message);
    return streamId;
  }
}

async function report(extra, steps) {
  const progressToken = extra._meta?.progressToken;
  for (let progress = 1; progress <= steps && progressToken !== undefined; progress++)
    await extra.sendNotification({
      method: 'notifications/progress',
      params: { progressToken, progress, total: 3 },
    });
}

function tools() {
  const server = new McpServer(
    { name: 'tools', version: '1' },
    { capabilities: { tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } } }, taskStore },
  );
  const tool = (name, does) => server.registerTool(name, { description: name }, does);
  tool('plain', async (extra) => {
    const { authorization } = extra.requestInfo.headers;
    await (await fetch(`${api}/api/v1/clusters`, { headers: { authorization } })).text();
    return text('done');
  });
  tool('fail', async () => { throw new Error('no'); });
  tool('hold', async () => { entered('hold'); await sleep(4000); return text('held'); });
  tool('progress', async (extra) => { await report(extra, 3); return text('done'); });
  tool('resume', async (extra) => {
    await report(extra, 1);
    extra.closeSSEStream();
    await sleep(200);
    return text('done');
  });
  tool('ask', async (extra) => {
    entered('ask');
    const requestedSchema = { type: 'object', properties: { sure: { type: 'boolean' } } };
    const answer = await server.server.elicitInput(
      { message: 'Delete?', requestedSchema }, { relatedRequestId: extra.requestId });
    return text(`deleted: ${answer.action}`);
  });
  server.experimental.tasks.registerToolTask(
    'task',
    { description: 'task', inputSchema: { how: z.string() }, execution: { taskSupport: 'required' } },
    {
      async createTask({ how }, { taskStore: store, taskRequestedTtl }) {
        const task = await store.createTask({ ttl: taskRequestedTtl, pollInterval: 100 });
        entered('task');
        sleep(how === 'cancelled' ? 4000 : 300)
          .then(() => store.storeTaskResult(task.taskId, how === 'failed' ? 'failed' : 'completed',
            { ...text(how), isError: how === 'failed' }))
          .catch(() => {}); // it was cancelled
        return { task };
      },
      getTask: (_, { taskId, taskStore: store }) => store.getTask(taskId),
      getTaskResult: (_, { taskId, taskStore: store }) => store.getTaskResult(taskId),
    },
  );
  return server;
}

async function serveMcp(request, response) {
  let transport = sessions.get(request.headers['mcp-session-id']);
  if (!transport) {
    transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID, eventStore: new Events(), retryInterval: 100,
      onsessioninitialized: (id) => sessions.set(id, transport),
    });
    await tools().connect(transport);
  }
  await transport.handleRequest(request, response);
}

createServer((request, response) => {
  if (request.url.startsWith('/api/')) response.setHeader('content-type', 'application/json').end('[]');
  else serveMcp(request, response);
}).listen(Number(port), '127.0.0.1');
