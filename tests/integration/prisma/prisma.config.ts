// SPDX-License-Identifier: GPL-3.0-or-later
// Real Prisma Migrate through its JavaScript driver: no engine binary is downloaded or run.
import { createRequire } from "node:module";
import { PrismaPg } from "@prisma/adapter-pg";
import { defineConfig } from "prisma/config";

// The adapter does not know the catalogue's types "char", name, pg_node_tree and aclitem, which its own queries return.
const TEXT: Record<number, number> = { 18: 25, 19: 25, 24: 25, 194: 25, 2205: 25, 1002: 1009, 1003: 1009 };
const Result = createRequire(import.meta.url)("pg/lib/result.js");
const addFields = Result.prototype.addFields;
Result.prototype.addFields = function (fields: { dataTypeID: number }[]) {
  for (const field of fields) field.dataTypeID = TEXT[field.dataTypeID] ?? field.dataTypeID;
  return addFields.call(this, fields);
};

const { CONNECTION_URL, PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, SCHEMA, MIGRATIONS } = process.env;

export default defineConfig({
  engine: "js",
  experimental: { adapter: true },
  schema: "schema.prisma",
  migrations: { path: MIGRATIONS },
  adapter: async () =>
    new PrismaPg(
      {
        ...(CONNECTION_URL
          ? { connectionString: CONNECTION_URL }
          : { host: PGHOST, port: Number(PGPORT), user: PGUSER, password: PGPASSWORD, database: PGDATABASE }),
        options: `-c search_path=${SCHEMA}`,
        allowExitOnIdle: true,
      },
      { schema: SCHEMA },
    ),
});
