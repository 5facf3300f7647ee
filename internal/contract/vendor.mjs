// The vendor's packages, from the directory that the environment names.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const home = process.env.CONTRACTS;
export const load = createRequire(join(home, 'package.json'));
export const inside = (name, ...path) => join(home, 'node_modules', ...name.split('/'), ...path);

export const proto = load('@canton-network/core-ledger-proto');

// What the package has and does not export by name.
export const ledger = (file) => load(inside('@canton-network/core-ledger-proto',
  'dist/cjs/_proto/com/daml/ledger/api/v2', file + '.cjs'));

export const input = () => JSON.parse(readFileSync(0, 'utf8'));
export const output = (value) => console.log(JSON.stringify(value));
