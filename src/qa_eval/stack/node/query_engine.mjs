#!/usr/bin/env node
// Prisma's query engine in WebAssembly behind the native program's HTTP interface: `query_engine.mjs -p PORT`.
//
// prisma-client-py sends GraphQL; the WebAssembly build takes Prisma's JSON protocol only. A request is translated to
// it, and the values of the reply are written as the native program writes them in GraphQL.
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindAdapter } from '@prisma/driver-adapter-utils';
import { parse } from 'graphql';
import { openPool } from './pool.mjs';

const require = createRequire(import.meta.url);
const { enginesVersion } = require('@prisma/engines-version');
const NO_TRACE = '{}';
const CONNECTIONS = 10;

/** The models of a schema: by name, the type of each field. */
function modelsOf(schema) {
  const models = {};
  for (const [, name, body] of schema.matchAll(/^model\s+(\w+)\s*\{([\s\S]*?)^\}/gm)) {
    models[name] = Object.fromEntries([...body.matchAll(/^\s+(\w+)\s+(\w+)/gm)].map(([, field, type]) => [field, type]));
  }
  return models;
}

/** The engine on a database. */
async function openEngine(schema, url) {
  const runtime = require.resolve('@prisma/client/runtime/query_engine_bg.postgresql.js');
  const glue = require(runtime);
  const module = new WebAssembly.Module(fs.readFileSync(runtime.replace(/\.js$/, '.wasm')));
  glue.__wbg_set_wasm(new WebAssembly.Instance(module, { './query_engine_bg.js': glue }).exports);
  const adapter = bindAdapter(
    new PrismaPg(openPool(url, { max: CONNECTIONS }), { schema: new URL(url).searchParams.get('schema') ?? 'public' }),
  );
  const settings = { datamodel: schema, logLevel: 'error', logQueries: false, engineProtocol: 'json' };
  const engine = new glue.QueryEngine({ ...settings, env: process.env, configDir: '.' }, () => {}, adapter);
  await engine.connect(NO_TRACE);
  return engine;
}

/** GraphQL to the JSON protocol. */
class Translator {
  constructor(models) {
    this.models = models;
    this.longestFirst = Object.keys(models).sort((one, other) => other.length - one.length);
  }

  request(text) {
    const [field] = parse(text).definitions[0].selectionSet.selections;
    const name = field.name.value;
    if (['queryRaw', 'executeRaw'].includes(name)) {
      return { action: name, query: { arguments: this.arguments(field), selection: {} } };
    }
    const modelName = this.longestFirst.find((model) => name.toLowerCase().endsWith(model.toLowerCase()));
    return {
      modelName,
      action: name.slice(0, name.length - modelName.length),
      query: {
        arguments: this.typed(this.arguments(field), modelName),
        selection: this.selection(field.selectionSet),
      },
    };
  }

  selection(set) {
    return Object.fromEntries(
      (set?.selections ?? []).map((field) => {
        const isPlain = !field.selectionSet && !field.arguments?.length;
        const nested = { arguments: this.arguments(field), selection: this.selection(field.selectionSet) };
        return [field.name.value, isPlain ? true : nested];
      }),
    );
  }

  arguments(field) {
    return Object.fromEntries((field.arguments ?? []).map(({ name, value }) => [name.value, this.value(value)]));
  }

  value(node) {
    switch (node.kind) {
      case 'IntValue':
      case 'FloatValue':
        return Number(node.value);
      case 'NullValue':
        return null;
      case 'ListValue':
        return node.values.map((each) => this.value(each));
      case 'ObjectValue':
        return Object.fromEntries(node.fields.map(({ name, value }) => [name.value, this.value(value)]));
      default:
        return node.value;
    }
  }

  /** Json values are strings in GraphQL, and marked in the JSON protocol. */
  typed(value, model, type) {
    if (Array.isArray(value)) return value.map((each) => this.typed(each, model, type));
    if (value === null || typeof value !== 'object') {
      return type === 'Json' && typeof value === 'string' ? { $type: 'Json', value } : value;
    }
    return Object.fromEntries(
      Object.entries(value).map(([name, each]) => {
        const own = this.models[model]?.[name];
        return [name, own in this.models ? this.typed(each, own) : this.typed(each, model, own ?? type)];
      }),
    );
  }
}

/** A value of the JSON protocol as GraphQL has it. */
function untyped(value) {
  if (Array.isArray(value)) return value.map(untyped);
  if (value === null || typeof value !== 'object') return value;
  if (typeof value.$type === 'string') return value.$type === 'BigInt' ? Number(value.value) : value.value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, untyped(each)]));
}

const reply = (result) => (result.data ? { data: { result: untyped(Object.values(result.data)[0]) } } : result);

/** The native program's routes. */
function routes(engine, translator) {
  const query = async (body, transaction) => {
    const { batch, transaction: together, query: text } = JSON.parse(body);
    const request = batch
      ? { batch: batch.map((each) => translator.request(each.query)), transaction: together ? {} : undefined }
      : translator.request(text);
    const result = JSON.parse(await engine.query(JSON.stringify(request), NO_TRACE, transaction));
    return JSON.stringify(result.batchResult ? { batchResult: result.batchResult.map(reply) } : reply(result));
  };
  return async ({ url, headers }, body) => {
    if (url === '/status') return '{"status": "ok"}';
    if (url.startsWith('/metrics')) return '{"counters": [], "gauges": [], "histograms": []}';
    if (url === '/transaction/start') return engine.startTransaction(body, NO_TRACE);
    const [, id, end] = /^\/transaction\/([^/]+)\/(commit|rollback)$/.exec(url) ?? [];
    if (id) return engine[`${end}Transaction`](id, NO_TRACE);
    return query(body, headers['x-transaction-id']);
  };
}

async function bodyOf(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

async function serve(port) {
  const schema = fs.readFileSync(process.env.PRISMA_DML_PATH, 'utf8');
  const answer = routes(await openEngine(schema, process.env.DATABASE_URL), new Translator(modelsOf(schema)));
  const server = http.createServer(async (request, response) => {
    const send = (status, text) => response.writeHead(status, { 'content-type': 'application/json' }).end(text);
    try {
      send(200, await answer(request, await bodyOf(request)));
    } catch (error) {
      console.error(`query engine: ${request.url}: ${error}`); // never the body, which may hold keys
      send(500, JSON.stringify({ error: String(error) }));
    }
  });
  server.listen(port, 'localhost');
}

for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
if (process.argv.includes('--version')) {
  console.log(`query-engine ${enginesVersion.split('.').at(-1)}`);
} else {
  await serve(Number(process.argv[process.argv.indexOf('-p') + 1]));
}
