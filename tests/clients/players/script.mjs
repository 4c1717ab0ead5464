// What each client plays: see script.py.
import { createInterface } from 'node:readline';

export const { MCP_URL: URL_, MCP_TOKEN: TOKEN, KIND } = process.env;
export const FIELDS = { Authorization: `Bearer ${TOKEN}` };
const TOOLS = {
  plain: 'plain', tool_error: 'fail', unknown_tool: 'nonsense', cancel: 'hold', hang_up: 'hold',
  progress: 'progress', resume: 'resume', accepted: 'ask', declined: 'ask', never_answered: 'ask',
  'task_succeeds': 'task', 'task_fails': 'task', 'task_is_cancelled': 'task',
  'cancelled_late': 'task',
};
const HOW = {
  'task_succeeds': 'completed', 'task_fails': 'failed', 'task_is_cancelled': 'cancelled',
  'cancelled_late': 'completed',
};
export const TOOL = TOOLS[KIND];
export const IS_TASK = KIND in HOW;
export const ARGUMENTS = IS_TASK ? { how: HOW[KIND] } : {};

const lines = createInterface({ input: process.stdin });
// Listened for from the start: the line may come before the player waits for it.
const line = new Promise((resolve) => lines.once('line', resolve));
export const told = () => line;

export async function answered() {
  console.log('asked');
  if (KIND === 'never_answered') await new Promise((resolve) => setTimeout(resolve, 600_000));
  return KIND === 'accepted' ? { action: 'accept', content: { sure: true } } : { action: 'decline' };
}

// Make the call with a signal, which is aborted when told.
export async function play(call) {
  const controller = new AbortController();
  if (KIND === 'cancel') told().then(() => controller.abort());
  try {
    console.log(JSON.stringify((await call(controller.signal)) ?? null));
  } catch (error) {
    console.log(JSON.stringify(String(error)));
  }
}
