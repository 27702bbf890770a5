// An OpenID provider for tests/it/oidc/real.rs: oidc-provider, a certified implementation, with the
// clients and scopes of Scheduler0. Whoever comes with a browser is `ada`, who says yes.
//
// The first line of its input is a JSON object: `life`, the seconds that access tokens live. The
// first line of its output is the issuer. It ends with its input.

import http from 'node:http';
import readline from 'node:readline';
import { generateKeyPairSync } from 'node:crypto';

const lines = readline.createInterface({ input: process.stdin });
const settings = JSON.parse((await lines[Symbol.asyncIterator]().next()).value);
lines.on('close', () => process.exit(0));
process.stdin.resume();

// It warns of what is only fit for tests. That is what this is.
console.log = console.info = console.warn = () => {};
const { Provider } = await import('oidc-provider');

const SCOPES = 'jobs:read jobs:write runs:read runs:write projects:read projects:write';

// The services that tokens are for (RFC 8707).
const RESOURCES = {
  'urn:scheduler0': { audience: 'scheduler0' },
  'urn:another': { audience: 'another' },
  // Tokens that were over an hour ago, see the customizer.
  'urn:expired': { audience: 'scheduler0' },
};

const server = http.createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

const provider = new Provider(issuer, {
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'one', use: 'sig', alg: 'RS256' }] },
  cookies: { keys: ['a key of the tests'] },
  clients: [
    {
      client_id: 'simple-scheduler-cli',
      // Of a native application the port of a redirect to the loopback does not count (RFC 8252).
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      redirect_uris: ['http://localhost:5556/callback'],
      grant_types: [
        'authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code',
      ],
      response_types: ['code'],
    },
    {
      client_id: 'robot',
      client_secret: 'the secret of the robot',
      redirect_uris: [],
      grant_types: ['client_credentials'],
      response_types: [],
    },
  ],
  scopes: ['openid', 'profile', 'offline_access'],
  claims: { openid: ['sub'], profile: ['name', 'preferred_username'] },
  // Without it the names are told at the userinfo endpoint alone.
  conformIdTokenClaims: false,
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: 'Ada Lovelace', preferred_username: id }),
  }),
  ttl: { Interaction: 600, Session: 3600, Grant: 3600, IdToken: 300, DeviceCode: 300 },
  rotateRefreshToken: true,
  extraTokenClaims: (_context, token) =>
    token.accountId ? { preferred_username: token.accountId } : undefined,
  formats: {
    customizers: {
      jwt: (_context, token, parts) => {
        if (token.resourceServer?.identifier() === 'urn:expired') {
          parts.payload.exp = parts.payload.iat - 3600;
        }
      },
    },
  },
  interactions: { url: (_context, interaction) => `/say-yes/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    revocation: { enabled: true },
    userinfo: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: (_context, _client, oneOf) => oneOf ?? 'urn:scheduler0',
      useGrantedResource: () => true,
      getResourceServerInfo: (_context, name) => ({
        ...RESOURCES[name],
        scope: SCOPES,
        accessTokenFormat: 'jwt',
        accessTokenTTL: settings.life ?? 300,
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
});

provider.on('server_error', (_context, error) => console.error(error));

/** Says yes to what the provider asks: who it is, and whether the client may. */
async function sayYes(request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    return provider.interactionFinished(request, response, { login: { accountId: 'ada' } });
  }
  const { missingOIDCScope, missingOIDCClaims, missingResourceScopes } = prompt.details;
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '));
  if (missingOIDCClaims) grant.addOIDCClaims(missingOIDCClaims);
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '));
  }
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { consent }, {
    mergeWithLastSubmission: true,
  });
}

const answer = provider.callback();
server.on('request', (request, response) => {
  if (!request.url.startsWith('/say-yes/')) return answer(request, response);
  sayYes(request, response).catch((error) => {
    console.error(error);
    response.writeHead(500).end();
  });
});

process.stdout.write(`${issuer}\n`);
