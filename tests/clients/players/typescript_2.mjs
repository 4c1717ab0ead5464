// The TypeScript SDK 2.4.0.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { answered, ARGUMENTS, FIELDS, KIND, play, TOOL, URL_ } from './script.mjs';

const client = new Client(
  { name: 'player', version: '1' },
  { capabilities: { elicitation: {} }, versionNegotiation: { mode: 'auto' } });
client.setRequestHandler('elicitation/create', answered);
await client.connect(new StreamableHTTPClientTransport(new URL(URL_), { requestInit: { headers: FIELDS } }));
const onprogress = ['progress', 'resume'].includes(KIND) ? () => {} : undefined;
await play((signal) => client.callTool({ name: TOOL, arguments: ARGUMENTS }, { signal, onprogress }));
await client.close();
process.exit(0);
