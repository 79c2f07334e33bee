import fastify, { type FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClientAddress, createClientAddress } from '../../src/channels/http/client-address.ts';

describe('whom a request comes from', () => {
  const app: FastifyInstance = fastify();
  let url = '';
  let address: ClientAddress = () => '';
  beforeAll(async () => {
    app.get('/', async (request) => address(request));
    url = await app.listen({ host: '127.0.0.1', port: 0 });
  });
  afterAll(() => app.close());

  it.each<[string, readonly string[], string | undefined, string]>([
    ['is who is connected, where no proxy is named', [], '203.0.113.1', '127.0.0.1'],
    ['is who is connected, where they are no proxy', ['10.0.0.0/8'], '203.0.113.1', '127.0.0.1'],
    ['is whom the proxy has seen', ['127.0.0.1'], '203.0.113.1', '203.0.113.1'],
    ['is not who they say they are', ['127.0.0.0/8'], '198.51.100.7, 203.0.113.1', '203.0.113.1'],
    ['is not the proxy that they say they are', ['127.0.0.1'], '127.0.0.1, 203.0.113.1', '203.0.113.1'],
    [
      'is whom the first of several proxies has seen',
      ['127.0.0.1', '10.0.0.0/8'],
      '203.0.113.1, 10.1.2.3',
      '203.0.113.1',
    ],
    ['is the proxy itself, where it says nothing', ['127.0.0.1'], undefined, '127.0.0.1'],
    ['is the proxy itself, where it says what is no address', ['127.0.0.1'], '203.0.113.1, unknown', '127.0.0.1'],
    ['may have an address of the other family', ['127.0.0.1'], '2001:db8::1', '2001:db8::1'],
    ['is the same, however its address is written', ['127.0.0.1'], '::ffff:203.0.113.1', '203.0.113.1'],
  ])('%s', async (_, proxies, said, is) => {
    address = createClientAddress(proxies);
    const answer = await fetch(url, { headers: said === undefined ? {} : { 'x-forwarded-for': said } });
    expect(await answer.text()).toBe(is);
  });
});
