// Connections to PostgreSQL for Prisma's adapters, with the types that the adapters do not know read as text.
import pg from 'pg';

const { builtins } = pg.types;
// `"char"`, `name` and their arrays (PostgreSQL's catalogues): as text they lose nothing.
const READ_AS = { 18: builtins.TEXT, 19: builtins.TEXT, 1002: 1009, 1003: 1009 };

class Client extends pg.Client {
  query(...request) {
    const callback = request.at(-1);
    if (typeof callback !== 'function') return super.query(...request).then(withKnownTypes);
    return super.query(...request.slice(0, -1), (error, results) => callback(error, withKnownTypes(results)));
  }
}

function withKnownTypes(results) {
  for (const field of [results].flat().flatMap((result) => result?.fields ?? [])) {
    field.dataTypeID = READ_AS[field.dataTypeID] ?? field.dataTypeID;
  }
  return results;
}

/** A pool for a URL with Prisma's own parameters, which pg would refuse. */
export function openPool(url, options = {}) {
  const { hostname, port, username, password, pathname } = new URL(url);
  const pool = new pg.Pool({
    Client,
    host: hostname,
    port: Number(port || 5432),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database: decodeURIComponent(pathname.slice(1)),
    ...options,
  });
  pool.on('error', () => {}); // an idle connection that PostgreSQL has closed; the pool opens another
  return pool;
}
