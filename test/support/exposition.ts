/** One line of Prometheus' text format. */
export interface ExposedSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ExposedFamily {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly ExposedSample[];
}

const METRIC = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\n]|\\\\[\\\\n"])*"';
const VALUE = '[+-]?(?:Inf|NaN|[0-9]+(?:\\.[0-9]+)?(?:e[+-]?[0-9]+)?)';
const helpLine = new RegExp(`^# HELP (${METRIC}) ((?:[^\\\\]|\\\\[\\\\n])+)$`);
const typeLine = new RegExp(`^# TYPE (${METRIC}) (counter|gauge|histogram|summary|untyped)$`);
const sampleLine = new RegExp(`^(${METRIC})(?:\\{(${LABEL}(?:,${LABEL})*)\\})? (${VALUE})$`);

function numberOf(text: string): number {
  return Number(text.replace('Inf', 'Infinity'));
}

function labelsOf(text: string | undefined): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [pair] of (text ?? '').matchAll(new RegExp(LABEL, 'g'))) {
    const equals = pair.indexOf('=');
    const name = pair.slice(0, equals);
    if (name in labels) throw new Error(`label ${name} comes twice`);
    labels[name] = pair
      .slice(equals + 2, -1)
      .replace(/\\(.)/g, (_, character: string) => (character === 'n' ? '\n' : character));
  }
  return labels;
}

/** Which names the samples of a family may have. */
function samplesOf({ name, type }: ExposedFamily): readonly string[] {
  return type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name];
}

/**
 * Reads text format 0.0.4, stricter than a scraper: each family has HELP, TYPE and then its samples, in one place, none twice, no time
 * stamps, a line feed behind every line; names of counters end in _total, counters are not negative, and histograms are cumulative
 * with +Inf equal to their count. Throws an Error that says what is wrong.
 */
export function parseExposition(text: string): ReadonlyMap<string, ExposedFamily> {
  if (!text.endsWith('\n')) throw new Error('the last line has no line feed');
  const families = new Map<string, ExposedFamily & { samples: ExposedSample[] }>();
  let current: (ExposedFamily & { samples: ExposedSample[] }) | null = null;
  let help: RegExpExecArray | null = null;
  const seen = new Set<string>();
  for (const line of text.slice(0, -1).split('\n')) {
    const type = typeLine.exec(line);
    const sample = sampleLine.exec(line);
    if (help !== null) {
      if (type?.[1] !== help[1]) throw new Error(`HELP is not followed by TYPE: ${line}`);
      if (families.has(type![1]!)) throw new Error(`${type![1]!} comes twice`);
      current = { name: type![1]!, type: type![2]!, help: help[2]!, samples: [] };
      families.set(current.name, current);
      help = null;
    } else if (sample !== null) {
      if (current === null || !samplesOf(current).includes(sample[1]!))
        throw new Error(`a sample of another family: ${line}`);
      const labels = labelsOf(sample[2]);
      const key = sample[1]! + JSON.stringify(Object.entries(labels).sort());
      if (seen.has(key)) throw new Error(`a sample comes twice: ${line}`);
      seen.add(key);
      current.samples.push({ name: sample[1]!, labels, value: numberOf(sample[3]!) });
    } else {
      help = helpLine.exec(line);
      if (help === null) throw new Error(`no line of the format: ${line}`);
    }
  }
  if (help !== null) throw new Error('HELP is the last line');
  for (const family of families.values()) checkFamily(family);
  return families;
}

function checkFamily(family: ExposedFamily): void {
  const { name, type, samples } = family;
  if (type === 'counter') {
    if (!name.endsWith('_total')) throw new Error(`counter ${name} does not end in _total`);
    for (const { value } of samples) if (!(value >= 0)) throw new Error(`counter ${name} is ${value}`);
  }
  if (type !== 'histogram') return;
  const groups = new Map<string, ExposedSample[]>();
  for (const sample of samples) {
    const key = JSON.stringify({ ...sample.labels, le: undefined });
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  for (const [key, group] of groups) checkDistribution(`${name}${key}`, name, group);
}

function checkDistribution(what: string, name: string, group: readonly ExposedSample[]): void {
  const buckets = group.filter((sample) => sample.name === `${name}_bucket`);
  const counts = group.filter((sample) => sample.name === `${name}_count`);
  const sums = group.filter((sample) => sample.name === `${name}_sum`);
  if (counts.length !== 1 || sums.length !== 1) throw new Error(`${what} has not one count and one sum`);
  let bound = -Infinity;
  let before = 0;
  for (const { labels, value } of buckets) {
    const next = numberOf(labels['le'] ?? 'NaN');
    if (!(next > bound)) throw new Error(`${what}: bounds do not rise at ${next}`);
    if (!(value >= before)) throw new Error(`${what} is not cumulative at ${next}`);
    bound = next;
    before = value;
  }
  if (bound !== Infinity) throw new Error(`${what} has no bucket +Inf`);
  if (before !== counts[0]!.value) throw new Error(`${what}: the bucket +Inf is not the count`);
}

/** The value of the one sample with this name and these labels; 0 when there is none, as for a counter that has not begun. */
export function valueOf(
  families: ReadonlyMap<string, ExposedFamily>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
  if (family === undefined) throw new Error(`there is no metric ${name}`);
  const found = family.samples.filter(
    (sample) =>
      sample.name === name &&
      Object.keys(sample.labels).length === Object.keys(labels).length &&
      Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
  return found[0]?.value ?? 0;
}
