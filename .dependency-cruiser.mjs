/**
 * Finds import cycles (`npm run cycles`). Which layer may import which is the compiler's business: see the references in
 * each tsconfig.json.
 */
export default {
  forbidden: [
    {
      name: 'no-cycle',
      comment:
        'A cycle loads modules in an order that nobody chose. Move what both sides need into a third module, or pass it in.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-cycle-between-folders',
      comment: 'Types may refer to each other inside one folder only.',
      severity: 'error',
      // A knote, its queue and its filters are one data structure in two folders.
      from: { path: '^(.+)/[^/]+$', pathNot: '^src/kqueue/' },
      to: { circular: true, via: { pathNot: '^$1/[^/]+$' } },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^node_modules' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { extensions: ['.ts', '.js'] },
  },
};
