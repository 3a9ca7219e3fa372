/** One line that says what to do when the C library cannot be called. */
export class LibraryFailure extends Error {
  override readonly name = 'LibraryFailure';
}
