import type { Token, Tokens } from 'marked';

const entities = new Map([
  ['&lt;', '<'],
  ['&gt;', '>'],
  ['&amp;', '&'],
  ['&quot;', '"'],
  ['&#39;', "'"],
]);

/** What a reader sees of a piece of Markdown, without its marks. */
export function plainText(token: Token | Tokens.TableCell | Tokens.ListItem): string {
  if ('tokens' in token && token.tokens !== undefined) {
    return token.tokens.map((child) => plainText(child)).join('');
  }
  const text = (token as Tokens.Text).text;
  return text.replace(/&(lt|gt|amp|quot|#39);/g, (entity) => entities.get(entity) ?? entity);
}
