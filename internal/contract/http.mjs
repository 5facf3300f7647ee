// The vendor's HTTP clients ask a validator app and a Scan. The input says
// where, with which token and for what; the output has the answers and the
// refusals by path.
import { input, load, output } from './vendor.mjs';

const { ScanClient, ValidatorInternalClient } = load('@canton-network/core-splice-client');
const { validator, scan, token, paths } = input();
const silent = new Proxy({}, { get: () => () => {} });
const tokens = { getAccessToken: async () => token };
const clients = {
  validator: new ValidatorInternalClient(new URL(validator), silent, tokens),
  scan: new ScanClient(new URL(scan), silent, tokens),
};
const answers = {};
for (const [api, wanted] of Object.entries(paths)) {
  for (const path of wanted) {
    answers[`${api} ${path}`] = await clients[api].get(path).then((answer) => ({ answer }), (refusal) => ({ refusal }));
  }
}
output(answers);
