/**
 * A pattern of the shell for paths from the mount's root: `*` and `?` stand for anything but a slash, `**` for slashes too, `[...]` for one of
 * several characters, a backslash takes the next character as it is.
 */
export function globExpression(glob: string): RegExp {
  let source = '';
  for (let at = 0; at < glob.length; at++) {
    const character = glob[at]!;
    if (character === '*') {
      const isDeep = glob[at + 1] === '*';
      if (isDeep) at++;
      // A slash behind it may be missing: **/a is a, too.
      if (isDeep && glob[at + 1] === '/') {
        at++;
        source += '(?:.*/)?';
      } else source += isDeep ? '.*' : '[^/]*';
    } else if (character === '?') source += '[^/]';
    else if (character === '[') {
      const set = /^\[([!^]?)(\]?[^\]]*)\]/.exec(glob.slice(at));
      if (set === null) source += String.raw`\[`;
      else {
        const [whole, negation, members] = set;
        source += `(?!/)[${negation === '' ? '' : '^'}${members!.replaceAll(/[\\\][^]/g, String.raw`\$&`)}]`;
        at += whole.length - 1;
      }
    } else source += literal(character === '\\' && at + 1 < glob.length ? glob[++at]! : character);
  }
  return new RegExp(`^${source}$`, 's');
}

function literal(character: string): string {
  return character.replace(/[\\^$.*+?()[\]{}|/]/, String.raw`\$&`);
}
