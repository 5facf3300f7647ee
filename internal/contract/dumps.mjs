// Identities dumps, written with the vendor's protobufs and Node.js's own
// cryptography. Nothing of Holdfast is in them: a mistake that the program
// shares with its own test dumps shows here. The input is a list of wishes, the
// output the dumps that they ask for.
import crypto from 'node:crypto';
import { input, load, output, proto } from './vendor.mjs';

const { BinaryWriter, WireType } = load('@protobuf-ts/runtime');
const { CryptoKeyFormat: Format, SigningKeySpec: Spec, SigningKeyUsage: Usage } = proto;
const { EncryptionKeySpec, Enums_TopologyChangeOp: Change } = proto;

// versioned is an UntypedVersionedMessage, which no package has.
const versioned = (data, version = 30) => new BinaryWriter()
  .tag(1, WireType.LengthDelimited).bytes(data)
  .tag(2, WireType.Varint).int32(version).finish();

const base64 = (bytes) => Buffer.from(bytes).toString('base64');

const fingerprint = (bytes) => '1220' + crypto.createHash('sha256')
  .update(Buffer.from([0, 0, 0, 12])).update(bytes).digest('hex');

const kinds = {
  'ed25519': { make: ['ed25519'], spec: Spec.EC_CURVE25519, scheme: 1 },
  'p256': { make: ['ec', { namedCurve: 'P-256' }], spec: Spec.EC_P256, scheme: 2 },
  'p384': { make: ['ec', { namedCurve: 'P-384' }], spec: Spec.EC_P384, scheme: 3 },
  'secp256k1': { make: ['ec', { namedCurve: 'secp256k1' }], spec: Spec.EC_SECP256K1 },
  'rsa': { make: ['rsa', { modulusLength: 2048 }], spec: EncryptionKeySpec.RSA_2048, scheme: 3 },
  'ecies': { make: ['ec', { namedCurve: 'P-256' }], spec: EncryptionKeySpec.EC_P256, scheme: 1 },
};

let rsa; // one is enough, and takes long to make

// key makes a key and both of its messages. Layouts: current; second, PKCS8 of
// version 2 with the public key in it; raw, as Canton kept Ed25519 at first;
// scheme, from before key specs.
function key(name, kind, layout, usage) {
  const { make, spec, scheme } = kinds[kind];
  const pair = kind === 'rsa' ? rsa ??= crypto.generateKeyPairSync(...make) : crypto.generateKeyPairSync(...make);
  const spki = pair.publicKey.export({ type: 'spki', format: 'der' });
  const pkcs8 = pair.privateKey.export({ type: 'pkcs8', format: 'der' });
  const ed = kind === 'ed25519';
  const raw = spki.subarray(-32);
  const id = fingerprint(ed ? raw : spki);
  const old = layout === 'raw' || layout === 'scheme';
  const stored = { usage, keySpec: spec, scheme: 0 };
  if (layout === 'scheme') Object.assign(stored, { usage: [], keySpec: 0, scheme });
  let bytes = ed && old ? pkcs8.subarray(-32) : pkcs8;
  if (ed && layout === 'second') {
    bytes = Buffer.concat([Buffer.from('3051020101300506032b657004220420', 'hex'), pkcs8.subarray(-32),
      Buffer.from('812100', 'hex'), raw]);
  }
  const publicKey = { ...stored, format: !old ? Format.DER_X509_SUBJECT_PUBLIC_KEY_INFO : ed ? Format.RAW : Format.DER,
    publicKey: ed && old ? raw : spki };
  const privateKey = { ...stored, id, format: !old ? Format.DER_PKCS8_PRIVATE_KEY_INFO : ed ? Format.RAW : Format.DER,
    privateKey: bytes };
  return { name, id, pair, publicKey, privateKey, signs: usage !== undefined, old, kms: `projects/p/keys/${name}` };
}

const listed = (k) => ({ key: k.signs
  ? { oneofKind: 'signingPublicKey', signingPublicKey: k.publicKey }
  : { oneofKind: 'encryptionPublicKey', encryptionPublicKey: k.publicKey } });

const keyPair = (k) => {
  const both = { privateKey: k.privateKey, publicKey: k.old ? k.publicKey : undefined };
  return proto.CryptoKeyPair.toBinary({ pair: k.signs
    ? { oneofKind: 'signingKeyPair', signingKeyPair: both }
    : { oneofKind: 'encryptionKeyPair', encryptionKeyPair: both } });
};

const time = (seconds) => ({ seconds: BigInt(seconds), nanos: 7000 });

// item is a transaction in force, signed by the namespace's key.
function item(signer, mapping, { operation = Change.ADD_REPLACE, serial = 1, proposal = false, ...rest } = {}) {
  const transaction = versioned(proto.TopologyTransaction.toBinary({ operation, serial, mapping: { mapping } }));
  const algorithm = signer.pair.privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  const signature = { format: proto.SignatureFormat.CONCAT, signedBy: signer.id, signingAlgorithmSpec: 1,
    signature: crypto.sign(algorithm, transaction, signer.pair.privateKey) };
  const signed = proto.SignedTopologyTransaction.toBinary({
    transaction, signatures: [signature], proposal, multiTransactionSignatures: [{
      transactionHashes: [crypto.createHash('sha256').update(transaction).digest()], signatures: [signature] }],
  });
  return { sequenced: time(1700000000), validFrom: time(1700000000), transaction: versioned(signed), ...rest };
}

const delegation = (namespace, target) => ({ oneofKind: 'namespaceDelegation', namespaceDelegation: {
  namespace, targetKey: target.publicKey, isRootDelegation: namespace === target.id,
  restriction: { oneofKind: 'canSignAllMappings', canSignAllMappings: {} } } });

const owner = (member, keys) => ({ oneofKind: 'ownerToKeyMapping', ownerToKeyMapping: {
  member, publicKeys: keys.map(listed) } });

// others are what a whole store has and the identity does not need.
const others = (d) => [
  item(d.root, { oneofKind: 'vettedPackages', vettedPackages: { participantUid: d.uid, packageIds: ['ab'.repeat(32)],
    packages: [{ packageId: 'cd'.repeat(32), validFrom: time(1600000000) }] } }),
  item(d.root, { oneofKind: 'partyToParticipant', partyToParticipant: { party: 'alice::' + d.root.id, threshold: 1,
    participants: [{ participantUid: d.uid, permission: 1 }] } }),
  item(d.root, { oneofKind: 'synchronizerTrustCertificate', synchronizerTrustCertificate: {
    participantUid: d.uid, synchronizerId: 'global-domain::1220ab' } }),
  item(d.root, owner(d.id, [d.encryption]), { validUntil: time(1700000001) }),
  item(d.root, owner(d.id, [d.encryption]), { rejectionReason: 'superseded' }),
  item(d.root, owner(d.id, [d.encryption]), { proposal: true }),
  item(d.root, owner(d.id, [d.encryption]), { operation: Change.REMOVE, serial: 2 }),
];

// material is what a key is made of, as far as its pair holds it.
const material = (k) => {
  const { d, x, y } = k.pair.privateKey.export({ format: 'jwk' });
  const parts = [d, x, y].filter(Boolean).map((text) => Buffer.from(text, 'base64url'));
  return [...parts.filter((part) => Buffer.from(k.privateKey.privateKey).includes(part)), Buffer.from(k.id),
    ...(k.old ? [k.publicKey.publicKey] : [])].map(base64);
};

const flip = (bytes, at) => {
  const out = Buffer.from(bytes);
  out[at < 0 ? out.length + at : at] ^= 1;
  return out;
};

const entry = (d, n, message) => { d.entries[n].keyPair = base64(message); };

// map replaces the mapping of the owner's keys.
const map = (d, how, member = d.id) => { d.owners = [item(d.root, owner(member, [d.signing, d.encryption]), how)]; };

// What can be wrong with a dump. before changes what is written, after what
// was.
const before = {
  'no delegation': (d) => { d.delegations = []; },
  'delegation of another namespace': (d) => { d.delegations = [delegation(d.encryption.id, d.root)]; },
  'delegation to another key': (d) => { d.delegations = [delegation(d.root.id, d.signing)]; },
  'mapping of another member': (d) => map(d, {}, 'PAR::bob::' + d.root.id),
  'two mappings': (d) => { d.owners.push(item(d.root, owner(d.id, [d.encryption]), { serial: 2 })); },
  'mapping proposed': (d) => map(d, { proposal: true }),
  'mapping rejected': (d) => map(d, { rejectionReason: 'no' }),
  'mapping superseded': (d) => map(d, { validUntil: time(1700000001) }),
  'mapping removed': (d) => map(d, { operation: Change.REMOVE }),
  'mapping of a lost key': (d) => { d.owners = [item(d.root, owner(d.id, [d.signing, d.encryption, d.stranger]))]; },
  'whole store': (d) => { d.more = others(d); },
  'sequencer': (d) => { d.id = 'SEQ::' + d.uid; },
  'mediator': (d) => { d.id = 'MED::' + d.uid; },
  'another namespace': (d) => { d.id = 'PAR::carol::' + d.stranger.id; },
  'private key changed': (d) => { d.signing.privateKey.privateKey = flip(d.signing.privateKey.privateKey, -1); },
  'namespace key changed': (d) => { d.root.privateKey.privateKey = flip(d.root.privateKey.privateKey, -1); },
  'private key of another': (d) => { d.signing.privateKey.privateKey = d.stranger.privateKey.privateKey; },
  'fingerprint of another': (d) => { d.signing.privateKey.id = d.stranger.id; },
  'public key of another': (d) => { d.signing = { ...d.signing, publicKey: d.stranger.publicKey }; },
  'private key followed by more': (d) => {
    d.signing.privateKey.privateKey = Buffer.concat([d.signing.privateKey.privateKey, Buffer.from([0])]);
  },
  'private key cut': (d) => { d.signing.privateKey.privateKey = d.signing.privateKey.privateKey.subarray(0, 20); },
  'private key empty': (d) => { d.signing.privateKey.privateKey = new Uint8Array(); },
  'spec of another': ({ signing: { privateKey } }) => {
    privateKey.keySpec = privateKey.keySpec === Spec.EC_P256 ? Spec.EC_CURVE25519 : Spec.EC_P256;
  },
  'symbolic': (d) => { d.signing.privateKey.format = Format.SYMBOLIC; },
};

const after = {
  'another purpose': (d) => {
    entry(d, 2, versioned(proto.CryptoKeyPair.toBinary({ pair: { oneofKind: 'signingKeyPair',
      signingKeyPair: { privateKey: { ...d.encryption.privateKey, usage: [Usage.PROTOCOL] } } } })));
  },
  'public key alone': (d) => {
    entry(d, 1, versioned(proto.CryptoKeyPair.toBinary({ pair: { oneofKind: 'signingKeyPair',
      signingKeyPair: { publicKey: d.signing.publicKey } } })));
  },
  'neither pair': (d) => { entry(d, 1, versioned(proto.CryptoKeyPair.toBinary({ pair: { oneofKind: undefined } }))); },
  'under a password': (d) => {
    entry(d, 1, versioned(proto.PasswordBasedEncrypted.toBinary({ symmetricKeyScheme: 1, pbkdfScheme: 1,
      ciphertext: crypto.randomBytes(160), salt: crypto.randomBytes(16) })));
  },
  'pair without version': (d) => { entry(d, 1, keyPair(d.signing)); },
  'pair of an earlier version': (d) => { entry(d, 1, versioned(keyPair(d.signing), 2)); },
  'pair of a later version': (d) => { entry(d, 1, versioned(keyPair(d.signing), 31)); },
  'pair cut': (d) => { d.entries[1].keyPair = d.entries[1].keyPair.slice(0, -24); },
  'pair not base64': (d) => { d.entries[1].keyPair = '%' + d.entries[1].keyPair; },
  'snapshot cut': (d) => { d.snapshot = d.snapshot.subarray(0, d.snapshot.length - 40); },
  'one transaction for a snapshot': (d) => { d.snapshot = d.owners[0].transaction; },
  'kms key without name': (d) => { delete d.entries[1].name; },
  'kms key without type': (d) => { delete d.entries[1].type; },
};

function dump({ signing = 'ed25519', encryption = 'ecies', layout = 'current', kms = false, tamper = '' }) {
  const use = [Usage.SEQUENCER_AUTHENTICATION, Usage.PROTOCOL, Usage.PROOF_OF_OWNERSHIP];
  const d = {
    root: key('namespace', signing, layout, [Usage.NAMESPACE, Usage.PROOF_OF_OWNERSHIP]),
    signing: key('signing', signing, layout, use),
    encryption: key('encryption', encryption, layout),
    stranger: key('stranger', signing, layout, use),
    more: [],
  };
  d.uid = 'alice-validator-1::' + d.root.id;
  d.id = 'PAR::' + d.uid;
  d.delegations = [delegation(d.root.id, d.root)];
  d.owners = [item(d.root, owner(d.id, [d.signing, d.encryption]))];
  before[tamper]?.(d);
  d.keys = [d.root, d.signing, d.encryption];
  d.entries = d.keys.map((k) => kms
    ? { type: k.signs ? 'signing' : 'encryption', keyId: k.kms, name: k.name }
    : { keyPair: base64(versioned(keyPair(k))), name: k.name });
  d.snapshot = versioned(proto.TopologyTransactions.toBinary({
    items: [...d.delegations.map((m) => item(d.root, m)), ...d.owners, ...d.more] }));
  after[tamper]?.(d);
  if (tamper && !before[tamper] && !after[tamper]) throw new Error(`unknown tampering: ${tamper}`);
  return {
    dump: { id: d.id, keys: d.entries, authorizedStoreSnapshot: base64(d.snapshot), version: '0.6.11' },
    keys: d.keys.map(material),
    snapshot: [d.id, ...d.keys.map((k) => k.publicKey.publicKey)].map((part) => base64(Buffer.from(part))),
    database: { id: d.uid,
      privateKeys: kms ? [] : d.keys.map((k) => k.id), kmsKeys: kms ? d.keys.map((k) => k.kms) : [] },
  };
}

output(input().map(dump));
