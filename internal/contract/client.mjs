// The vendor's generated clients ask a participant's admin and ledger API. The
// input says where and what; the output has each answer as their types read it,
// the fields that they do not know, and the code of each refusal.
import { input, ledger, load, output, proto } from './vendor.mjs';

const { GrpcTransport } = load('@protobuf-ts/grpc-transport');
const { ChannelCredentials } = load('@grpc/grpc-js');
const { StateServiceClient } = ledger('state_service.client');

const unknown = new Set();
const readUnknownField = (type, message, field) => unknown.add(`${type} ${field}`);

const connect = (Client, host) => {
  const transport = new GrpcTransport({ host, channelCredentials: ChannelCredentials.createInsecure(),
    binaryOptions: { readUnknownField } });
  return { client: new Client(transport), transport };
};

// answer is what comes of a call.
async function answer(type, call) {
  try {
    return { answer: type.toJson((await call).response) };
  } catch (refusal) {
    return { code: refusal.code, message: refusal.message };
  }
}

const { admin, ledgerAPI, synchronizer, participant } = input();
const topology = connect(proto.TopologyManagerReadServiceClient, admin);
const state = connect(StateServiceClient, ledgerAPI);
const inForce = { proposals: false, operation: proto.Enums_TopologyChangeOp.ADD_REPLACE, filterSignedKey: '',
  timeQuery: { oneofKind: 'headState', headState: {} } };
const at = (store) => ({ ...inForce, store: { store } });

output({
  parties: await answer(proto.ListPartyToParticipantResponse, topology.client.listPartyToParticipant({
    baseQuery: at({ oneofKind: 'synchronizer', synchronizer: { id: synchronizer } }),
    filterParty: '', filterParticipant: participant })),
  elsewhere: await answer(proto.ListPartyToParticipantResponse, topology.client.listPartyToParticipant({
    baseQuery: at({ oneofKind: 'authorized', authorized: {} }),
    filterParty: '', filterParticipant: participant })),
  stores: await answer(proto.ListAvailableStoresResponse, topology.client.listAvailableStores({})),
  end: await answer(ledger('state_service').GetLedgerEndResponse, state.client.getLedgerEnd({})),
  pruned: await answer(ledger('state_service').GetLatestPrunedOffsetsResponse, state.client.getLatestPrunedOffsets({})),
  unknown: [...unknown],
});
topology.transport.close();
state.transport.close();
