// Reads identities dumps with the vendor's protobufs, strictly: a field that
// their types do not have is an error. The output says of each dump what it
// holds, and has it written again by their types.
import crypto from 'node:crypto';
import { input, load, output, proto } from './vendor.mjs';

const { BinaryReader, BinaryWriter, WireType } = load('@protobuf-ts/runtime');
const strict = { readUnknownField: 'throw' };
const base64 = (bytes) => Buffer.from(bytes).toString('base64');

// unwrap opens an UntypedVersionedMessage, which no package has.
function unwrap(bytes) {
  const reader = new BinaryReader(bytes);
  const message = {};
  while (reader.pos < reader.len) {
    const [field, kind] = reader.tag();
    if (field === 1 && kind === WireType.LengthDelimited) message.data = reader.bytes();
    else if (field === 2 && kind === WireType.Varint) message.version = reader.int32();
    else throw new Error(`field ${field} of a versioned message`);
  }
  return message;
}

const wrap = ({ version }, data) => new BinaryWriter()
  .tag(1, WireType.LengthDelimited).bytes(data).tag(2, WireType.Varint).int32(version).finish();

const fingerprint = (bytes) => '1220' + crypto.createHash('sha256')
  .update(Buffer.from([0, 0, 0, 12])).update(bytes).digest('hex');

// hashed is the fingerprint of a public key, of Ed25519 in either form.
const hashed = (bytes) => fingerprint(bytes.length === 44 ? bytes.subarray(-32) : bytes);

// derived is the fingerprint of the public key that belongs to a private one.
function derived(bytes) {
  const header = bytes.length === 32 ? '302e020100300506032b657004220420' : ''; // a seed alone
  const der = Buffer.concat([Buffer.from(header, 'hex'), bytes]);
  const key = crypto.createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  return hashed(crypto.createPublicKey(key).export({ format: 'der', type: 'spki' }));
}

function readPair(text) {
  const wrapped = unwrap(Buffer.from(text, 'base64'));
  const message = proto.CryptoKeyPair.fromBinary(wrapped.data, strict);
  const { pair } = message;
  const both = pair[pair.oneofKind];
  return {
    key: {
      purpose: pair.oneofKind.replace('KeyPair', ''), fingerprint: both.privateKey.id,
      derived: wrapped.version === 30 ? derived(both.privateKey.privateKey) : both.privateKey.id,
      public: both.publicKey ? hashed(both.publicKey.publicKey) : '',
    },
    text: base64(wrap(wrapped, proto.CryptoKeyPair.toBinary(message))),
  };
}

const publicOf = ({ key }) => hashed(key[key.oneofKind].publicKey);

function readItem(item) {
  const outer = unwrap(item.transaction);
  const signed = proto.SignedTopologyTransaction.fromBinary(outer.data, strict);
  const inner = unwrap(signed.transaction);
  const transaction = proto.TopologyTransaction.fromBinary(inner.data, strict);
  const { mapping } = transaction.mapping;
  const content = mapping[mapping.oneofKind];
  signed.transaction = wrap(inner, proto.TopologyTransaction.toBinary(transaction));
  item.transaction = wrap(outer, proto.SignedTopologyTransaction.toBinary(signed));
  return {
    kind: mapping.oneofKind, operation: transaction.operation, serial: transaction.serial,
    inForce: !item.validUntil && !item.rejectionReason && !signed.proposal,
    of: content.namespace ?? content.member,
    keys: content.targetKey ? [hashed(content.targetKey.publicKey)] : content.publicKeys.map(publicOf),
  };
}

function read(dump) {
  const keys = dump.keys.map((entry) => {
    if (!entry.keyPair) return { purpose: entry.type, kms: entry.keyId };
    const { key, text } = readPair(entry.keyPair);
    entry.keyPair = text;
    return key;
  });
  const wrapped = unwrap(Buffer.from(dump.authorizedStoreSnapshot, 'base64'));
  const snapshot = proto.TopologyTransactions.fromBinary(wrapped.data, strict);
  const transactions = snapshot.items.map(readItem);
  dump.authorizedStoreSnapshot = base64(wrap(wrapped, proto.TopologyTransactions.toBinary(snapshot)));
  return { keys, transactions, again: dump };
}

output(input().map(read));
