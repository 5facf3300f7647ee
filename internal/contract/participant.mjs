// A participant whose topology is read and answered with the vendor's types.
// What their package does not have (the status) is answered with the bytes of
// the input. The first line of the output is the address; when the input ends,
// a second line has the requests as their types read them.
import { createInterface } from 'node:readline';
import { load, output, proto } from './vendor.mjs';

const grpc = load('@grpc/grpc-js');
const unknown = new Set();
const readUnknownField = (type, message, field) => unknown.add(`${type} ${field}`);
const requests = [];

const method = (path, requestDeserialize, responseSerialize) => ({ path, requestDeserialize, responseSerialize,
  requestStream: false, responseStream: false, requestSerialize: Buffer.from, responseDeserialize: Buffer.from });
const raw = (path) => method(path, (bytes) => bytes, (bytes) => Buffer.from(bytes));

const lines = createInterface({ input: process.stdin });
lines.once('line', (line) => serve(JSON.parse(line)));

function serve({ answers, parties }) {
  const server = new grpc.Server();
  for (const [path, bytes] of Object.entries(answers)) {
    server.addService({ [path]: raw(path) }, { [path]: (call, done) => done(null, Buffer.from(bytes, 'base64')) });
  }
  const { typeName, methods } = proto.TopologyManagerReadService;
  const { name, I, O } = methods.find((m) => m.name === 'ListPartyToParticipant');
  server.addService({ list: method(`/${typeName}/${name}`,
    (bytes) => I.fromBinary(bytes, { readUnknownField }), (message) => Buffer.from(O.toBinary(message))) }, {
    list: (call, done) => {
      requests.push(I.toJson(call.request));
      done(null, O.fromJson({ results: parties }));
    },
  });
  server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (failed, port) => {
    if (failed) throw failed;
    output({ address: `127.0.0.1:${port}` });
  });
  lines.once('close', () => {
    output({ requests, unknown: [...unknown] });
    server.forceShutdown();
  });
}
