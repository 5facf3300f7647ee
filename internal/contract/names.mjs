// The names of every message, and of every method, that the vendor's protobufs
// have: those that the package exports and those that it keeps inside.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { inside, load, output } from './vendor.mjs';

const root = inside('@canton-network/core-ledger-proto', 'dist/cjs/_proto');
const files = readdirSync(root, { recursive: true }).filter((name) => name.endsWith('.cjs'));
const names = new Set();
for (const file of files) {
  for (const value of Object.values(load(join(root, file)))) {
    if (!value?.typeName) continue;
    if (value.methods) value.methods.forEach((m) => names.add(`/${value.typeName}/${m.name}`));
    else names.add(value.typeName);
  }
}
output([...names].sort());
