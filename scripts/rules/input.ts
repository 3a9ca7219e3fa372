import { isSection, isTag, type Rule, type TestOutcome } from './coverage.ts';

/** A file that does not hold what it should: the message is one line for the person who runs the script. */
export class InputError extends Error {
  override readonly name = 'InputError';
}

const idPattern = /^([PKS])[1-9]\d*$/;

export function parseRules(text: string, source: string): Rule[] {
  const value = parseJson(text, source);
  if (!Array.isArray(value)) throw new InputError(`${source}: not a list of rules`);
  const seen = new Set<string>();
  return value.map((entry: unknown, index) => {
    const rule = parseRule(entry, `${source}, entry ${index + 1}`);
    if (seen.has(rule.id)) throw new InputError(`${source}: ${rule.id} is there twice`);
    seen.add(rule.id);
    return rule;
  });
}

/** `relativePath` turns the report's absolute file names into project ones with forward slashes. */
export function parseReport(
  text: string,
  source: string,
  relativePath: (file: string) => string,
): TestOutcome[] {
  const report = asRecord(parseJson(text, source), source);
  const outcomes: TestOutcome[] = [];
  for (const result of asList(report['testResults'], `${source}: testResults`)) {
    const fileResult = asRecord(result, `${source}: a test result`);
    const file = relativePath(asString(fileResult['name'], `${source}: a test result's name`));
    for (const assertion of asList(fileResult['assertionResults'], `${source}: ${file}`)) {
      const { title, status } = asRecord(assertion, `${source}: ${file}`);
      outcomes.push({
        file,
        title: asString(title, `${source}: a title in ${file}`),
        passed: status === 'passed',
      });
    }
  }
  return outcomes;
}

function parseRule(value: unknown, where: string): Rule {
  const entry = asRecord(value, where);
  const id = asString(entry['id'], `${where}: id`);
  const section = idPattern.exec(id)?.[1] ?? '';
  if (!isSection(section)) throw new InputError(`${where}: "${id}" is no rule id`);
  const title = asString(entry['title'], `${where}: title`);
  if (title.trim() === '' || title.includes('\n')) throw new InputError(`${where}: title is not one line`);
  const ruleTags = asList(entry['tags'], `${where}: tags`).map((item) => {
    const tag = asString(item, `${where}: tag`);
    if (!isTag(tag)) throw new InputError(`${where}: "${tag}" is no tag`);
    return tag;
  });
  if (ruleTags.length === 0) throw new InputError(`${where}: no tags`);
  const rule = { id, section, tags: ruleTags, title };
  const { decided } = entry;
  return decided === undefined ? rule : { ...rule, decided: asString(decided, `${where}: decided`) };
}

function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new InputError(`${source}: not JSON (${reason.replaceAll(/\s+/g, ' ')})`, { cause: error });
  }
}

function asRecord(value: unknown, what: string): Partial<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InputError(`${what}: not an object`);
  }
  return value;
}

function asList(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new InputError(`${what}: not a list`);
  return value;
}

function asString(value: unknown, what: string): string {
  if (typeof value !== 'string') throw new InputError(`${what}: not a string`);
  return value;
}
