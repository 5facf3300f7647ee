// Judges recorded HTTP answers by the vendor's TypeScript types. Each answer is
// written as a constant of the type that its path and status have, and
// compiled: a field that is missing, of another kind or unknown is an error.
// The types say formats in comments alone, so these are looked at by hand.
import { inside, input, load, output } from './vendor.mjs';

const ts = load('typescript');

// files are those that may hold an answer, by the name that the table of
// docs/contracts.md gives them.
const splice = (file) => inside('@canton-network/core-splice-client', 'dist/generated-clients', file);
const json = (file) => inside('@canton-network/core-ledger-client-types', 'dist/generated-clients', file);
const files = {
  'scan': splice('scan'), 'validator-internal': splice('validator-internal'),
  'openapi-3.4.12': json('openapi-3.4.12'), 'openapi-3.5.1': json('openapi-3.5.1'),
};

const { answers, paths: wanted } = input();
const sources = Object.fromEntries(Object.entries(files).filter(([name]) => answers.some((a) => a.source === name)));
const alias = (source) => source.replace(/\W/g, '_');

// typeOf is the type of an answer as the sources' interfaces write it. What the
// interface of a path does not list (a wrong token, a limit) is an error's body.
function typeOf({ source, path, status }) {
  const response = `${alias(source)}.paths['${path}']['get']['responses']`;
  const error = source.startsWith('openapi') ? 'never' : `${alias(source)}.components['schemas']['ErrorResponse']`;
  return `Of<${response}, ${status}, ${error}>`;
}

const file = '/answers.ts';
const text = [
  ...Object.entries(sources).map(([source, path]) => `import type * as ${alias(source)} from ${JSON.stringify(path)};`),
  `type Of<R, S extends number, E> = S extends keyof R
    ? R[S] extends { content: { 'application/json': infer B } } ? B : undefined
    : S extends 200 ? never : E;`,
  ...answers.map((a, n) => `export const a${n}: ${typeOf(a)} = ${a.body || 'undefined'};`),
].join('\n');

const options = { strict: true, exactOptionalPropertyTypes: true, noEmit: true, skipLibCheck: true, types: [],
  target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler };
const host = ts.createCompilerHost(options);
const { getSourceFile, fileExists, readFile } = host;
host.fileExists = (name) => name === file || fileExists.call(host, name);
host.readFile = (name) => (name === file ? text : readFile.call(host, name));
host.getSourceFile = (name, ...rest) => (name === file
  ? ts.createSourceFile(name, text, options.target, true) : getSourceFile.call(host, name, ...rest));
const program = ts.createProgram([file], options, host);
const checker = program.getTypeChecker();
const source = program.getSourceFile(file);

const faults = answers.map(() => []);
const constants = new Map();
ts.forEachChild(source, (node) => {
  if (ts.isVariableStatement(node)) {
    const [declaration] = node.declarationList.declarations;
    constants.set(Number(declaration.name.text.slice(1)), declaration);
  }
});
const general = [];
for (const d of ts.getPreEmitDiagnostics(program, source)) {
  const said = ts.flattenDiagnosticMessageText(d.messageText, '\n');
  const hit = [...constants].find(([, c]) => d.file === source && c.getStart() <= d.start && d.start < c.getEnd());
  if (hit) faults[hit[0]].push(said);
  else general.push(said);
}

const formats = {
  'date-time': (value) => !Number.isNaN(Date.parse(value))
    && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value),
  'int32': (value) => Number.isInteger(value) && Math.abs(value) < 2 ** 31,
  'int64': (value) => Number.isSafeInteger(value),
};

// misformed walks a value along its type. Of a union that type counts which has
// every field of the value.
function* misformed(value, type, at) {
  if (Array.isArray(value)) {
    const element = checker.getIndexTypeOfType(type, ts.IndexKind.Number);
    for (const [n, v] of value.entries()) yield* misformed(v, element, `${at}[${n}]`);
  } else if (value && typeof value === 'object') {
    const one = !type.isUnion() ? type
      : type.types.find((t) => Object.keys(value).every((name) => checker.getPropertyOfType(t, name))) ?? type;
    for (const [name, v] of Object.entries(value)) {
      const property = checker.getPropertyOfType(one, name);
      if (!property) continue; // a dictionary
      const comment = ts.displayPartsToString(property.getDocumentationComment(checker));
      const format = /Format: ([\w-]+)/.exec(comment)?.[1];
      if (formats[format] && !formats[format](v)) yield `${at}.${name} is no ${format}: ${JSON.stringify(v)}`;
      yield* misformed(v, checker.getTypeOfSymbolAtLocation(property, source), `${at}.${name}`);
    }
  }
}
for (const [n, declaration] of constants) {
  if (answers[n].body) {
    faults[n].push(...misformed(JSON.parse(answers[n].body), checker.getTypeAtLocation(declaration.name), '$'));
  }
}

// known says which of the wanted paths the sources have.
const interfaces = Object.keys(sources).map((name, n) => {
  const module = checker.getSymbolAtLocation(source.statements[n].moduleSpecifier);
  const symbol = checker.getExportsOfModule(module).find((s) => s.name === 'paths');
  return [name, new Set(checker.getDeclaredTypeOfSymbol(symbol).getProperties().map((p) => p.name))];
});
const known = Object.fromEntries(wanted.map((path) => [path,
  interfaces.filter(([, has]) => has.has(path)).map(([name]) => name)]));

output({ faults, general, known });
