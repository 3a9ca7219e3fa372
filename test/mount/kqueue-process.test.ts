import { afterAll, beforeAll, expect, test } from 'vitest';
import { ipcfsCommand } from '../support/cli.ts';
import { describeMount, TestMount } from '../support/mount.ts';

const NOBODY = { uid: 65534, gid: 65534 };

/** Reads event lines from descriptor 3 until one matches; prints every one. */
const COLLECT = `
collect() { while read -r -t 5 line <&3; do echo "$line"; [[ $line == $1 ]] && return; done; echo "no $1"; }
`;

/** The lines of a script's output, with each pid named in it replaced by that name. */
function lines(output: string): string[] {
  const named = new Map<string, string>();
  const kept: string[] = [];
  for (const line of output.trimEnd().split('\n')) {
    const match = /^pid (\w+) (\d+)$/.exec(line);
    if (match === null) kept.push(line);
    else named.set(match[2]!, match[1]!);
  }
  return kept.map((line) => line.replace(/\b\d{2,}\b/g, (digits) => named.get(digits) ?? digits));
}

describeMount('processes and signals', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  async function run(script: string): Promise<string[]> {
    return lines(await mount.output(`${COLLECT} exec 3<>kqueue; ${script}`));
  }

  test('K102, K104: the end of a process gives its wait status, once', async () => {
    const seen = await run(`
      (read -r; exit 3) < <(sleep 0.2; echo) & echo "pid child $!"
      echo "add proc $! exit udata=e" >&3; collect 'proc *'
      echo "delete proc $!" >&3; collect 'error *'`);
    expect(seen).toEqual([
      'proc child data=0x300 flags=clear,eof,nodata,oneshot fflags=exit udata=e',
      'error proc child errno=ENOENT udata=-',
    ]);
  });

  test('K104: a process ended by a signal', async () => {
    const seen = await run(`
      sleep 30 & echo "pid child $!"; echo "add proc $! exit" >&3; kill -9 $!; collect 'proc *'`);
    expect(seen).toEqual(['proc child data=0x9 flags=clear,eof,nodata,oneshot fflags=exit udata=-']);
  });

  test('K100: a process that is not there is ESRCH', async () => {
    const seen = await run(`echo 'add proc 4194304 exit' >&3; collect 'error *'`);
    expect(seen).toEqual(['error proc 4194304 errno=ESRCH udata=-']);
  });

  test('K103, K105: fork and exec add up until they are collected, and the exit comes unasked', async () => {
    const seen = await run(`
      mkfifo pipes/go; bash -c 'read -r < pipes/go; (true); exec sleep 0.1' & echo "pid child $!"
      echo "add proc $! fork exec udata=f" >&3; echo > pipes/go; wait; collect 'proc *eof*'`);
    expect(seen.at(-1)).toMatch(/^proc child data=0 flags=clear,eof,nodata,oneshot fflags=\S+ udata=f$/);
    expect(seen.join()).toMatch(/exec.*fork|fork.*exec/);
  });

  test('K106, K108: a tracked tree of three generations reports every child and every exit', async () => {
    const seen = await run(`
      mkfifo pipes/tree
      bash -c 'read -r < pipes/tree; bash -c "bash -c \\"exit 7\\"; exit 6"; exit 5' & parent=$!
      echo "add proc $parent track exit udata=t" >&3; echo > pipes/tree; wait
      collect "proc $parent data=0x500 *"`);
    const statuses = seen.map((line) => /data=(\S+) .*eof.*exit/.exec(line)?.[1]).filter(Boolean);
    // A knote keeps the place that it got when its first event was queued.
    expect(statuses.toSorted()).toEqual(['0x500', '0x600', '0x700']);
    expect(seen.filter((line) => line.includes('child')).length).toBe(2);
    expect(seen.every((line) => line.endsWith('udata=t'))).toBe(true);
  });

  test('K110: an end that is pending can be deleted', async () => {
    const seen = await run(`
      sleep 30 & pid=$!; echo "add proc $pid exit" >&3; kill -9 $pid; wait $pid 2>/dev/null
      until grep -q "pending" info/knotes; do :; done
      echo "delete proc $pid" >&3; echo 'add user 1 trigger udata=end' >&3; collect 'user *'`);
    expect(seen).toEqual(['user 1 data=0 flags=- fflags=0 udata=end']);
  });

  test('K111: signals to the opener are counted, ignored ones too, and go where they would', async () => {
    const seen = await run(`
      trap '' USR1; trap 'echo handled' USR2
      echo 'add signal USR1 udata=i' >&3; echo 'add signal SIGUSR2 udata=h' >&3
      for i in 1 2 3; do kill -USR1 $$; done; kill -USR2 $$
      sum=0; while [ $sum -lt 3 ]; do read -r -t 5 line <&3 || break
        [[ $line == *udata=i ]] && { n=\${line#*data=}; sum=$((sum + \${n%% *})); }; done
      echo "sum $sum"; cat info/knotes | grep -c signal`);
    expect(seen).toEqual(['handled', 'sum 3', '2']);
  });

  test('doctor says which events a process namespace of its own does not have, and what to do', async () => {
    const stdout = await mount.output(`unshare -n -p -f --mount-proc ${ipcfsCommand} doctor`);
    expect(stdout.split('\n').filter((line) => line.includes(' events '))).toEqual([
      expect.stringMatching(/^no +process events +exit only: for fork and exec mount as root/),
      expect.stringMatching(/^no +signal events +none: mount as root/),
    ]);
  });

  test('K101: anybody may watch a process that is there', async () => {
    const script = `${COLLECT} exec 3<>kqueue; echo 'add proc 1 exit receipt' >&3; collect 'error *'`;
    expect(await mount.output(script, NOBODY)).toBe('error proc 1 errno=0 udata=-\n');
  });
});
