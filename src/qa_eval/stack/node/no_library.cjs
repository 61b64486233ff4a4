// In place of the query engine's library, which Prisma's command would download. It only asks for its version.
exports.version = () => ({ commit: '', version: '' });
