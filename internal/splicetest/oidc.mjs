// An OAuth2 server with one client, which gets tokens by client_credentials, and
// with OIDC_REDIRECT another one, at which people log in: by any name, with the
// groups of OIDC_GROUPS.
// It is told everything in its environment, says its issuer on standard output
// and ends when its standard input does.
import http from 'node:http';

const env = process.env;
const { Provider } = await import(env.OIDC_PROVIDER);

const page = !env.OIDC_REDIRECT ? [] : [{
  client_id: 'page',
  client_secret: env.OIDC_CLIENT_SECRET,
  redirect_uris: [env.OIDC_REDIRECT],
}];

const server = http.createServer().listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: env.OIDC_CLIENT_ID,
      client_secret: env.OIDC_CLIENT_SECRET,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: env.OIDC_AUTH_METHOD,
    }, ...page],
    // What a token and the answer about a person hold is the library's default: of
    // the token of a code, the subject alone.
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
    scopes: ['openid', 'email', 'profile', 'groups', 'offline_access'],
    findAccount: (ctx, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, groups: (env.OIDC_GROUPS ?? '').split(',') }),
    }),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: page.length > 0 },
      resourceIndicators: {
        enabled: true,
        // The audience parameter is no part of the standard that this server
        // follows; some issuers honour it, some do not even look at it.
        defaultResource: (ctx) => (env.OIDC_HONOUR_AUDIENCE && ctx.oidc.body?.audience) || env.OIDC_AUDIENCE,
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource) => ({
          scope: 'daml_ledger_api',
          audience: resource,
          accessTokenTTL: Number(env.OIDC_TTL),
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  });
  server.on('request', provider.callback());
  console.log(JSON.stringify({ issuer }));
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
