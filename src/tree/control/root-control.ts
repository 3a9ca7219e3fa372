import type { Credentials } from '../../kern/credentials.ts';
import type { Operation } from '../../kern/operation.ts';
import { BadRequest, type Conversation, RequestFile } from './request-file.ts';
import { quoted } from './words.ts';

/**
 * Carries out the requests that begin with one word. `words` follow it, `caller` is whose rights count. What the answer says after `ok`, 0
 * for a bare ok, or a negative errno; throws BadRequest to explain.
 */
export type RequestHandler = (words: readonly string[], caller: Credentials) => Operation<string | number>;

/** `ctl` in the mount's root: requests about the objects of the tree. What each may be asked for is its handler's to check. */
export class RootControl extends RequestFile<null> {
  readonly #handlers = new Map<string, RequestHandler>();

  /** Requests whose first word is `word` go to `handler`. */
  register(word: string, handler: RequestHandler): void {
    this.#handlers.set(word, handler);
  }

  protected override begin(): null {
    return null;
  }

  protected override perform(
    _talk: Conversation<null>,
    [word = '', ...words]: readonly string[],
    caller: Credentials,
  ): Operation<string | number> {
    const handler = this.#handlers.get(word);
    if (handler === undefined) {
      const known = [...this.#handlers.keys()].join(', ');
      throw new BadRequest(`unknown word ${quoted(word)}: a request begins with ${known}`);
    }
    return handler(words, caller);
  }
}
