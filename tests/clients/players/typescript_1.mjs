// The TypeScript SDK 1.32.2.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CallToolResultSchema, ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { answered, ARGUMENTS, FIELDS, IS_TASK, KIND, play, told, TOOL, URL_ } from './script.mjs';

const client = new Client({ name: 'player', version: '1' }, { capabilities: { elicitation: {} } });
client.setRequestHandler(ElicitRequestSchema, answered);
await client.connect(new StreamableHTTPClientTransport(new URL(URL_), { requestInit: { headers: FIELDS } }));

async function taskOf() {
  const tasks = client.experimental.tasks;
  await client.listTools(); // it learns which tools are tasks
  const stream = tasks.callToolStream(
    { name: TOOL, arguments: ARGUMENTS }, CallToolResultSchema, { task: { ttl: 60_000 } });
  for await (const message of stream) {
    if (message.type === 'taskCreated' && KIND === 'task_is_cancelled') {
      await told();
      return tasks.cancelTask(message.task.taskId);
    }
    if (message.type === 'taskCreated' && KIND === 'cancelled_late') {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      await tasks.cancelTask(message.task.taskId).catch(() => {}); // it has ended
    }
    if (message.type === 'result') return message.result;
    if (message.type === 'error') throw message.error;
  }
}

const onprogress = ['progress', 'resume'].includes(KIND) ? () => {} : undefined;
await play((signal) => IS_TASK ? taskOf()
  : client.callTool({ name: TOOL, arguments: ARGUMENTS }, undefined, { signal, onprogress }));
if (KIND === 'cancel') await client.ping(); // closing at once would end the cancellation's own request
await client.close();
process.exit(0);
