import js from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['dist/', '.cache/', 'coverage/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: {
        project: [
          'src/*/tsconfig.json',
          'src/transports/*/tsconfig.json',
          'src/cli/trace/page/tsconfig.json',
          'test/tsconfig.json',
          'test/simulation/tsconfig.json',
          'scripts/tsconfig.json',
        ],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // Operations that never sleep are still generators: they share one calling convention.
      'require-yield': 'off',
      // Fixed-layout code counts bits and words.
      'no-bitwise': 'off',
      // Every index into a typed array is `number | undefined` to the compiler; the loops that use them are bounded.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // A base class answers with a constant where a subclass computes.
      '@typescript-eslint/class-literal-property-style': 'off',
      // File.data is typed by the table of operations beside it, as in the kernels' struct file.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      // An Errno is no number, but its negation is: that is what it is for.
      '@typescript-eslint/no-unsafe-unary-minus': 'off',
      // Any field may change while an operation sleeps, which the compiler's narrowing does not see.
      '@typescript-eslint/no-unnecessary-condition': 'off',
    },
  },
  {
    files: ['**/*.js', '**/*.mjs'],
    languageOptions: { globals: { console: 'readonly', process: 'readonly', URL: 'readonly' } },
  },
);
