/** One number of a family; no label twice. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One distribution of a family. `counts`: of each bucket alone, one more than there are bounds. */
export interface Distribution {
  readonly labels: Readonly<Record<string, string>>;
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
}

/** A metric with all its label sets. Names follow Prometheus: base units, `_total` for counters. */
export type Family =
  | {
      readonly name: string;
      readonly help: string;
      readonly type: 'counter' | 'gauge';
      readonly samples: readonly Sample[];
    }
  | {
      readonly name: string;
      readonly help: string;
      readonly type: 'histogram';
      readonly samples: readonly Distribution[];
    };

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function formatLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${escapeHelp(value).replaceAll('"', '\\"')}"`,
  );
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

/** Each bucket with all below it, by its bound; the last is +Inf. */
function cumulative({ bounds, counts }: Distribution): [bound: string, count: number][] {
  let total = 0;
  return counts.map((count, index) => {
    total += count;
    return [index < bounds.length ? String(bounds[index]) : '+Inf', total];
  });
}

/** Prometheus' text format 0.0.4. */
export function formatFamily(family: Family): string {
  const { name, help, type } = family;
  const lines = [`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`];
  if (family.type !== 'histogram') {
    for (const { labels, value } of family.samples) lines.push(`${name}${formatLabels(labels)} ${value}`);
  } else {
    for (const distribution of family.samples) {
      const { labels, sum } = distribution;
      const buckets = cumulative(distribution);
      for (const [bound, count] of buckets)
        lines.push(`${name}_bucket${formatLabels({ ...labels, le: bound })} ${count}`);
      lines.push(`${name}_sum${formatLabels(labels)} ${sum}`);
      lines.push(`${name}_count${formatLabels(labels)} ${buckets.at(-1)![1]}`);
    }
  }
  return lines.join('\n') + '\n';
}

/** The same as one JSON object: name, type, help, and metrics with labels and a value, or count, sum and buckets. */
export function formatFamilyJson(family: Family): string {
  const { name, type, help } = family;
  const metrics =
    family.type !== 'histogram'
      ? family.samples
      : family.samples.map((distribution) => {
          const buckets = cumulative(distribution);
          const { labels, sum } = distribution;
          return { labels, count: buckets.at(-1)![1], sum, buckets: Object.fromEntries(buckets) };
        });
  return JSON.stringify({ name, type, help, metrics });
}
