import { readFileSync } from 'node:fs';
import { marked, type Token } from 'marked';
import { assert } from '../../kern/assert.ts';
import { packageFile } from '../../host/package.ts';
import { TOPICS } from './topics.ts';

/** What `ipcfs help NAME` shows. */
export interface Topic {
  readonly name: string;
  /** Parsed Markdown. */
  readonly tokens: readonly Token[];
}

const part = /^<!-- help: ([a-z ]+) -->\n(.*?)^<!-- end of help -->$/gms;

/** The text of a topic: the parts of its page that are marked with its name. */
export function findTopic(name: string): Topic {
  const { page } = TOPICS.get(name)!;
  const parts = [...readFileSync(packageFile(page), 'utf8').matchAll(part)];
  const texts = parts.filter(([, names]) => names!.split(' ').includes(name)).map(([, , text]) => text!);
  assert(texts.length > 0, `${page} has a part for the topic ${name}`);
  return { name, tokens: marked.lexer(texts.join('\n')) };
}
