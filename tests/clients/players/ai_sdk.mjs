// @ai-sdk/mcp 2.0.99, a client of its own.
import { createMCPClient, ElicitationRequestSchema } from '@ai-sdk/mcp';
import { answered, ARGUMENTS, FIELDS, play, TOOL, URL_ } from './script.mjs';

const client = await createMCPClient({
  transport: { type: 'http', url: URL_, headers: FIELDS },
  capabilities: { elicitation: {} },
});
client.onElicitationRequest(ElicitationRequestSchema, answered);
await play((signal) => client.callTool({ name: TOOL, arguments: ARGUMENTS, options: { signal } }));
await client.close();
process.exit(0);
