// The configuration of Prisma's command 6 with its JavaScript schema engine, in a folder with schema and migrations.
import path from 'node:path';
import { PrismaPg } from 'prisma-6-adapter-pg';
import { openPool } from './pool.mjs';

const LOCK_TIMEOUT_MS = 10_000;
const pool = openPool(process.env.DATABASE_URL, { idleTimeoutMillis: 200, allowExitOnIdle: true });

class Factory extends PrismaPg {
  async connect() {
    const adapter = await super.connect();
    // The adapter's own cuts a script at each semicolon, also inside the body of a function.
    adapter.executeScript = (script) => pool.query(script).then(() => {}, (error) => adapter.onError(error));
    return adapter;
  }
}

// The engine keeps the timer of its lock, for which the command would wait after its work.
const setTimer = globalThis.setTimeout;
globalThis.setTimeout = (action, delay, ...rest) => {
  const timer = setTimer(action, delay, ...rest);
  return delay === LOCK_TIMEOUT_MS ? timer.unref() : timer;
};

export default {
  engine: 'js',
  experimental: { adapter: true },
  schema: path.resolve('schema.prisma'),
  migrations: { path: path.resolve('migrations') },
  adapter: async () => new Factory(pool),
};
