import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';

describeMount('names of every kind, and many of them', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  test('a name has at most 255 bytes', async () => {
    const most = 'x'.repeat(255);
    await mount.output(`cd pipes; mkfifo ${most}; mkdir d; mv ${most} d; ls d; rm -r d`);
    for (const script of [
      `mkfifo ${most}y`,
      `mkdir ${most}y`,
      `echo > ${most}y`,
      `ln -s x ${most}y`,
      `mkfifo short; ln short ${most}y`,
      `mv -T short ${most}y`,
      `stat ${most}y`,
    ]) {
      const { status, stderr } = await mount.sh(`cd pipes; ${script}`);
      expect([script, status]).toEqual([script, 1]);
      expect(stderr).toContain('File name too long');
    }
    // 255 bytes are 85 characters of three bytes each.
    await mount.output(`cd pipes; mkfifo ${'€'.repeat(85)}; ! mkfifo ${'€'.repeat(86)} 2>/dev/null`);
    await mount.output('rm -r pipes/*');
  });

  test('any bytes make a name, and come back unchanged', async () => {
    const names = [
      "$'\\xff\\xfe'",
      "' a b '",
      "$'new\\nline'",
      "'-dash'",
      "'*'",
      "'...'",
      "$'\\x01'",
      'ü',
      "'a\\b'",
    ];
    const script = `mkdir pipes/odd; cd pipes/odd
      names=(${names.join(' ')})
      for name in "\${names[@]}"; do mkfifo -- "$name"; done
      for name in "\${names[@]}"; do [ "$(stat -c %F -- "$name")" = 'regular empty file' ] || echo "no $name"; done
      printf '%s\\0' "\${names[@]}" | sort -z | od -An -tx1 >&3
      find . -mindepth 1 -printf '%P\\0' | sort -z | od -An -tx1
      echo data > "\${names[2]}" & cat "\${names[2]}"; wait
      mv -- -dash ' -b '; rm -- ' -b '; rm -r ../odd`;
    const { status, stdout, stderr } = await mount.sh(`(${script}) 3>&2`);
    expect(status).toBe(0);
    expect(stdout).toBe(stderr + 'data\n');
  });

  test('tables show blanks, control characters and bytes that are no UTF-8 as \\ooo, so that awk finds the columns', async () => {
    const script = `mkdir pipes/tab; cd pipes/tab; mkfifo 'a b' $'c\\nd' 'e\\f' $'\\xff' 'g"h'
      awk 'NF != 17 { print "bad", $0 } $1 ~ /^pipes.tab/ { print $1 }' ../../info/pipes`;
    const paths = ['a\\040b', 'c\\012d', 'e\\134f', '\\377', 'g"h'];
    expect(await mount.output(script)).toBe(paths.map((path) => `pipes/tab/${path}\n`).join(''));
    const rows = await mount.table('pipes');
    const shown = rows.map((row) => String(row['path'])).filter((path) => path.startsWith('pipes/tab/'));
    expect(shown).toEqual(['a b', 'c\nd', 'e\\f', '\xff', 'g"h'].map((name) => `pipes/tab/${name}`));
    await mount.output('rm -r pipes/tab');
  });

  test('5,000 pipes in one directory are listed and removed', async () => {
    const script = `mkdir pipes/many; cd pipes/many
      seq -f p%05g 5000 | xargs mkfifo
      ls -f | wc -l; ls -l | tail -1 | wc -w; find . -type p | sort | uniq | wc -l; awk 'END { print NR }' ../../info/pipes
      cd ..; rm -r many; ls | wc -l`;
    expect(await mount.output(script)).toBe('5002\n9\n5000\n5001\n0\n');
  });

  test('removing while listing loses nothing', async () => {
    const script = `mkdir pipes/half; cd pipes/half; seq 2000 | xargs mkfifo
      find . -type p -delete; ls | wc -l; rmdir ../half`;
    expect(await mount.output(script)).toBe('0\n');
  });

  test('directories nested as deeply as a path can name are made, shown and removed', async () => {
    const script = `path=pipes/$(printf 'd/%.0s' {1..1900}); mkdir -p $path; mkfifo $path/bottom
      awk '{ print length($1) }' info/pipes | sort -n | tail -1; grep -o 'pipes/d/[^"]*' info/pipes.json | wc -L
      rm -r pipes/d; ls pipes | wc -l`;
    expect(await mount.output(script)).toBe(`256\n${'pipes/'.length + 1900 * 2 + 'bottom'.length}\n0\n`);
  });
});
