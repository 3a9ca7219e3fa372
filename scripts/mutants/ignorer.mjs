import { declareValuePlugin, PluginKind } from '@stryker-mutator/api/plugin';

function isAssertion({ node }) {
  return node.type === 'CallExpression' && node.callee.type === 'Identifier' && node.callee.name === 'assert';
}

function isCheck({ node }) {
  return node.type === 'ClassMethod' && node.key.type === 'Identifier' && node.key.name === 'checkInvariants';
}

/** Assertions never fail in a sound program, so that no test can tell them from `true`. */
export const strykerPlugins = [
  declareValuePlugin(PluginKind.Ignore, 'assertions', {
    shouldIgnore(path) {
      if (isAssertion(path)) return 'an assertion says what is always true';
      if (isCheck(path)) return 'checks of invariants are for tests';
      return undefined;
    },
  }),
];
