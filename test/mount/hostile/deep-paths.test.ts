import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HostileMount } from '../../support/hostile.ts';
import { describeMount } from '../../support/mount.ts';

/** How long each attack goes on: `ATTACK_SECONDS=60` for the whole of what SECURITY.md promises. */
const seconds = Number(process.env['ATTACK_SECONDS'] ?? 3);
const PIPES = 2000;
/** What `ulimit -d 1000000` leaves to the server. */
const LIMITED_DATA_BYTES = 1_000_000 * 1024;
const LONG_TEST_MS = 300_000 + 5 * 1000 * seconds;

/** Reads these tables of info/, by so many readers at once, until the time is over. */
function readTables(names: readonly string[], readers: number): string {
  return `end=$((SECONDS + ${seconds})); for reader in $(seq ${readers}); do
      while [ $SECONDS -lt $end ]; do cat ${names.map((name) => `info/${name}`).join(' ')} > /dev/null 2>&1; done &
    done; wait`;
}

describeMount('tables of paths as long as they can be', () => {
  describe.each([
    ['whose memory is not limited', undefined],
    ['with little memory', LIMITED_DATA_BYTES],
  ])('a server %s', (_, dataBytes) => {
    let hostile: HostileMount;
    beforeAll(async () => {
      hostile = await HostileMount.start(dataBytes === undefined ? {} : { dataBytes });
      const dig = async (top: string, length: number): Promise<string> => {
        const program = hostile.program('nested-directories');
        const script = `mkdir pipes/${top}; cd pipes/${top}; exec ${program} ${length} ${PIPES}`;
        return (await hostile.attack(script)).stdout;
      };
      // Paths end at PATH_MAX: `pipes/TOP/` and names of 255 bytes, or of one.
      expect(await dig('long', 255)).toBe('15 File name too long\n');
      expect(await dig('deep', 1)).toBe('2042 File name too long\n');
    }, LONG_TEST_MS);
    afterAll(() => hostile.stop(), LONG_TEST_MS);

    test.each([
      ['one reader of the text', ['pipes'], 1],
      ['one reader of JSON', ['pipes.json'], 1],
      ['four readers of everything', ['pipes', 'pipes.json', 'handles', 'handles.json', 'metrics'], 4],
    ] as const)(
      '[SEC-21] %s neither ends nor fills nor stalls the server',
      async (__, names, readers) => {
        expect(await hostile.brokenBy(() => hostile.attack(readTables(names, readers)))).toEqual([]);
      },
      LONG_TEST_MS,
    );

    test('[SEC-21] tables that are kept open take no more than the quota of their reader', async () => {
      const hoard = `ulimit -n 4096; for n in $(seq 300); do exec {fd}<info/pipes.json || break; done 2>/dev/null
        echo $n; awk '$1 == 1001 && $2 == "held_bytes" { print $3 <= $4 }' info/users`;
      let said = '';
      const attack = async (): Promise<void> => {
        said = (await hostile.attack(hoard)).stdout;
      };
      expect(await hostile.brokenBy(attack)).toEqual([]);
      const [count, isWithin] = said.trim().split('\n');
      expect(Number(count)).toBeLessThan(300);
      expect(isWithin).toBe('1');
    });

    test('everybody sees the pipes in rows of bounded length, and root the whole paths', async () => {
      const shown = await hostile.mount.output(
        `wc -L < info/pipes; awk 'END { print NR }' info/pipes; awk 'NF != 17' info/pipes | wc -l; wc -L < info/pipes.json`,
      );
      const [length, rows, odd, jsonLength] = shown.trim().split('\n').map(Number);
      expect(length).toBeLessThan(500);
      expect(rows).toBe(1 + 1 + 2 * PIPES);
      expect(odd).toBe(0);
      // Each of 3825 control characters as six.
      expect(jsonLength).toBeGreaterThan(6 * 15 * 255);
    });
  });
});
