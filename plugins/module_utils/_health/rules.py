# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a database's health: what is measured, from which value on it is a finding, and what to do then.

The statements read the catalogue and the statistics (manual, chapters 27, 28 and 53), so that they cost the same for
large tables as for small ones. They work from PostgreSQL 12 on; a column that is younger is read by to_jsonb, which
gives null where there is none.
"""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import SCHEMAS, of_extension
from ansible_collections.slipway.deploy.plugins.module_utils._health.rule import COUNT, WORST, Rule

# The application's relations, with their names as SQL.
_RELATION = f"""
    (SELECT c.*, format('%%I.%%I', nspname, relname) AS shown
       FROM pg_class c JOIN ({SCHEMAS}) n ON n.oid = relnamespace
      WHERE NOT {of_extension("'pg_class'::regclass", "c.oid")})
"""
# A table's size as PostgreSQL knows it: from ANALYZE, or since then by counting.
_ROWS = "greatest(s.n_live_tup, t.reltuples)"
_STATISTICS = f"{_RELATION} t JOIN pg_stat_all_tables s ON s.relid = t.oid"
_SESSION = """format('process %%s of role %%s%%s', pid, usename, ' (' || nullif(application_name, '') || ')')"""
_SESSIONS = "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

# What a sequence hands out must fit into every column that takes it: its own, one whose default it is, and those that
# refer to such a column. The first of them that is full counts.
_SEQUENCES = f"""
    WITH fed AS (
        SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid::int2 AS number
          FROM pg_depend d
         WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
        UNION
        SELECT d.refobjid, a.adrelid, a.adnum
          FROM pg_depend d JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
         WHERE d.refclassid = 'pg_class'::regclass),
    taken AS (
        SELECT * FROM fed
        UNION
        SELECT fed.sequence, k.conrelid, k.conkey[array_position(k.confkey, fed.number)]
          FROM fed JOIN pg_constraint k ON k.confrelid = fed.relation AND fed.number = ANY(k.confkey)
         WHERE k.contype = 'f'),
    ends AS (
        SELECT t.shown, s.*,
               format('the end is that of %%s in %%s.%%s', a.type::regtype, a.relation::regclass,
                      quote_ident(a.attname)) AS told,
               CASE a.type WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647 END AS most,
               CASE WHEN has_sequence_privilege(t.oid, 'SELECT, USAGE') THEN pg_sequence_last_value(t.oid) END AS last
          FROM {_RELATION} t JOIN pg_sequence s ON s.seqrelid = t.oid
          LEFT JOIN (SELECT sequence, relation, attname, coalesce(nullif(typbasetype, 0), atttypid) AS type
                       FROM taken JOIN pg_attribute ON attrelid = relation AND attnum = number
                       JOIN pg_type y ON y.oid = atttypid) a ON a.sequence = t.oid
         WHERE NOT s.seqcycle),
    used AS (
        SELECT shown, CASE WHEN most < seqmax AND seqincrement > 0 OR -most > seqmin AND seqincrement < 0
                           THEN told ELSE '' END AS told,
               CASE WHEN seqincrement > 0
                    THEN (last::numeric - seqmin) / nullif(least(seqmax, most)::numeric - seqmin, 0)
                    ELSE (seqmax::numeric - last) / nullif(seqmax::numeric - greatest(seqmin, -most), 0) END AS part
          FROM ends)
    SELECT DISTINCT ON (shown) shown, coalesce(part, 0), told FROM used ORDER BY shown, part DESC NULLS LAST
"""

# What a table would take if nothing were lost: rows of their average width by pg_stats, each value aligned and each row
# with its header and pointer, on pages that are as full as the table's fillfactor says (manual, section 65.6). It is
# compared with the main fork, where what is stored out of line has a pointer.
_BLOAT = f"""
    SELECT shown, 1 - needed / pages, pg_size_pretty((pages - needed) * block)
      FROM (SELECT t.shown, block, pg_relation_size(t.oid)::numeric / block AS pages,
                   ceil(t.reltuples::numeric * (28 + ceil((w.width + 1) / 8.0) * 8)
                        / ((block - 24) * coalesce(substring(t.reloptions::text FROM 'fillfactor=(\\d+)')::numeric, 100)
                           / 100)) AS needed
              FROM {_RELATION} t, current_setting('block_size') AS setting, CAST(setting AS int) AS block,
                   LATERAL (SELECT count(*) AS columns, count(p.avg_width) AS known,
                                   sum((1 - p.null_frac) * ceil(p.avg_width::numeric / size) * size)::numeric AS width
                              FROM pg_attribute a
                              JOIN pg_namespace n ON n.oid = t.relnamespace
                              LEFT JOIN pg_stats p ON p.schemaname = n.nspname AND p.tablename = t.relname
                                                  AND p.attname = a.attname AND NOT p.inherited,
                                   LATERAL (SELECT CASE attalign WHEN 'd' THEN 8 WHEN 'i' THEN 4 WHEN 's' THEN 2
                                                                 ELSE 1 END AS size) align
                             WHERE attrelid = t.oid AND attnum > 0 AND NOT attisdropped) w
             WHERE t.relkind IN ('r', 'm') AND t.reltuples > 0 AND w.columns = w.known) estimate
     WHERE pages > 0 AND (pages - needed) * block >= %(bytes)s
"""

# What makes two indexes the same: all but the name, and that one of them keeps its values unique.
_DUPLICATES = f"""
    SELECT string_agg(shown, ' and ' ORDER BY kept DESC, shown), min(bytes)
      FROM (SELECT t.shown, pg_relation_size(t.oid) AS bytes, i.indisunique AS kept, i.indrelid, t.relam,
                   i.indkey::text, i.indnkeyatts, i.indclass::text, i.indcollation::text, i.indoption::text,
                   pg_get_expr(i.indexprs, i.indrelid) AS expressions, pg_get_expr(i.indpred, i.indrelid) AS predicate,
                   to_jsonb(i) ->> 'indnullsnotdistinct' AS distinct_nulls
              FROM pg_index i JOIN {_RELATION} t ON t.oid = i.indexrelid
             WHERE i.indisvalid AND NOT t.relispartition AND NOT i.indisexclusion) index
     GROUP BY indrelid, relam, indkey, indnkeyatts, indclass, indcollation, indoption, expressions, predicate,
              distinct_nulls
    HAVING count(*) > 1
"""

# An index serves a foreign key where its first columns are the key's, in any order.
_UNINDEXED = f"""
    SELECT format('%%s (%%s)', t.shown, (SELECT string_agg(quote_ident(attname), ', ' ORDER BY position)
                                         FROM unnest(k.conkey) WITH ORDINALITY AS key (number, position)
                                         JOIN pg_attribute ON attrelid = k.conrelid AND attnum = number)),
           {_ROWS}, 'constraint ' || quote_ident(k.conname)
      FROM pg_constraint k JOIN {_STATISTICS} ON t.oid = k.conrelid
     WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT EXISTS (
               SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
                WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indpred IS NULL
                  AND m.amname IN ('btree', 'hash') AND i.indnkeyatts >= cardinality(k.conkey)
                  AND (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey)
"""

_CONNECTIONS = """
    WITH session AS (SELECT datid, usesysid FROM pg_stat_activity WHERE backend_type = 'client backend')
    SELECT 'the server', (SELECT count(*) FROM session)::numeric / greatest(1,
               current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
               - coalesce(current_setting('reserved_connections', true)::int, 0)),
           format('max_connections is %%s', current_setting('max_connections'))
    UNION ALL
    SELECT format('database %%I', datname), (SELECT count(*) FROM session WHERE datid = oid)::numeric / datconnlimit,
           format('its CONNECTION LIMIT is %%s', datconnlimit)
      FROM pg_database WHERE datconnlimit > 0 AND datname = current_database()
    UNION ALL
    SELECT format('role %%I', rolname), (SELECT count(*) FROM session WHERE usesysid = oid)::numeric / rolconnlimit,
           format('its CONNECTION LIMIT is %%s', rolconnlimit)
      FROM pg_roles WHERE rolconnlimit > 0
"""

RULES = (
    Rule(
        "server", "Time that a connection to the database takes",
        "see that the server runs and what keeps its host busy",
        "seconds", 5, 9,
    ),
    Rule("rights", "Roles that can change the schema or can't work", "", "", 1, 1, kind=COUNT),
    Rule("collations", "Text that sorts otherwise than when the indexes were made", "", "", 1, 1, kind=COUNT),
    Rule(
        "invalid_indexes", "Indexes that are invalid, so that they are written and never read",
        "make each anew with REINDEX INDEX CONCURRENTLY, or drop it",
        warning=1, kind=COUNT,
        # One that is being built is not valid yet.
        sql=f"""
            SELECT t.shown FROM pg_index i JOIN {_RELATION} t ON t.oid = i.indexrelid
             WHERE NOT (i.indisvalid AND i.indisready AND i.indislive)
               AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = t.oid)
        """,
    ),
    Rule(
        "unvalidated_constraints", "Constraints that the rows of before were never checked against",
        "correct those rows and run ALTER TABLE … VALIDATE CONSTRAINT in a migration",
        warning=1, kind=COUNT,
        sql=f"""
            SELECT format('%%I of %%s', conname, t.shown) FROM pg_constraint k JOIN {_RELATION} t ON t.oid = k.conrelid
             WHERE NOT convalidated AND conparentid = 0 AND coalesce((to_jsonb(k) ->> 'conenforced')::bool, true)
        """,
    ),
    Rule(
        "sequences", "Part of its numbers that a sequence or identity column has handed out",
        "widen the columns to bigint, and the sequence with ALTER SEQUENCE … AS bigint, in a migration",
        "ratio", 0.75, 0.9,
        sql=_SEQUENCES,
    ),
    Rule(
        "tables_without_primary_key", "Tables without a primary key",
        "add one in a migration, or a row can't be told from its like and logical replication can't follow it",
        warning=1, kind=COUNT,
        sql=f"""
            SELECT shown FROM {_RELATION} t WHERE relkind IN ('r', 'p') AND NOT relispartition
               AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = t.oid AND indisprimary)
        """,
    ),
    Rule(
        "transaction_age", "Transactions since a database was frozen; the server stops at 2 billion",
        "end what holds vacuum back (long and prepared transactions, replication slots), and run VACUUM in it",
        "", 500_000_000, 1_000_000_000,
        sql="SELECT datname, age(datfrozenxid) FROM pg_database", server=True,
    ),
    Rule(
        "multixact_age", "Multixacts since a database was frozen; the server stops at 2 billion",
        "end what holds vacuum back (long and prepared transactions), and run VACUUM in it",
        "", 500_000_000, 1_000_000_000,
        sql="SELECT datname, mxid_age(datminmxid) FROM pg_database", server=True,
    ),
    Rule(
        "bloat", "Part of a table's pages that holds nothing, estimated from its statistics",
        "find what held vacuum back; VACUUM FULL while nobody works, or pg_repack, gives the space back",
        "ratio", 0.5,
        sql=_BLOAT, options={"bytes": 50_000_000},
    ),
    Rule(
        "dead_tuples", "Part of a table's rows that are dead and not yet vacuumed",
        "end what holds vacuum back (long and prepared transactions, replication slots), or have autovacuum come "
        "sooner (autovacuum_vacuum_scale_factor)",
        "ratio", 0.4, options={"rows": 10_000},
        sql=f"""
            SELECT t.shown, s.n_dead_tup::numeric / (s.n_dead_tup + s.n_live_tup) FROM {_STATISTICS}
             WHERE s.n_dead_tup >= greatest(1, %(rows)s)
        """,
    ),
    Rule(
        "never_vacuumed", "Tables that no vacuum has ever come to",
        "see that autovacuum is on (SHOW autovacuum) and not off for the table, and run VACUUM",
        warning=1, kind=COUNT, options={"rows": 10_000},
        sql=f"""
            SELECT t.shown FROM {_STATISTICS} WHERE s.last_vacuum IS NULL AND s.last_autovacuum IS NULL
               AND greatest(s.n_dead_tup, s.n_live_tup) >= %(rows)s
        """,
    ),
    Rule(
        "stale_statistics", "Part of a table's rows that changed since it was analyzed",
        "run ANALYZE, without which the planner guesses, and see that autovacuum is on",
        "ratio", 0.5, options={"rows": 10_000},
        sql=f"""
            SELECT t.shown, CASE WHEN coalesce(s.last_analyze, s.last_autoanalyze) IS NULL THEN 1
                                 ELSE least(1, s.n_mod_since_analyze::numeric / greatest(s.n_live_tup, 1)) END
              FROM {_STATISTICS} WHERE s.n_mod_since_analyze >= greatest(1, %(rows)s)
        """,
    ),
    Rule(
        "unused_indexes", "Bytes of an index that no statement has used",
        "drop it in a migration, unless a standby or a rare report uses it",
        "bytes", 10_000_000, options={"days": 7},
        sql=f"""
            SELECT t.shown, pg_relation_size(t.oid) FROM pg_index i JOIN {_RELATION} t ON t.oid = i.indexrelid
              JOIN pg_stat_all_indexes s ON s.indexrelid = t.oid, pg_stat_database d
             WHERE d.datname = current_database() AND s.idx_scan = 0 AND i.indisvalid AND NOT t.relispartition
               AND NOT i.indisunique AND NOT i.indisreplident
               AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = t.oid)
               AND now() - coalesce(d.stats_reset, pg_postmaster_start_time()) >= %(days)s * interval '1 day'
        """,
    ),
    Rule(
        "foreign_keys_without_index", "Rows of a table whose foreign key has no index",
        "CREATE INDEX CONCURRENTLY in a migration, or each DELETE in the other table reads all of this one",
        "", 10_000,
        sql=_UNINDEXED,
    ),
    Rule(
        "sequential_scans", "Part of the scans of a big table that read all of it",
        "find the statement (pg_stat_statements, EXPLAIN) and create the index that it lacks",
        "ratio", 0.5, options={"rows": 100_000, "scans": 1_000},
        sql=f"""
            SELECT t.shown, s.seq_scan::numeric / (s.seq_scan + coalesce(s.idx_scan, 0)) FROM {_STATISTICS}
             WHERE s.seq_scan >= greatest(1, %(scans)s) AND {_ROWS} >= %(rows)s
        """,
    ),
    Rule(
        "duplicate_indexes", "Bytes of an index that is the same as another one",
        "drop the one that is not unique, or either where both are alike, in a migration",
        "bytes", 1,
        sql=_DUPLICATES,
    ),
    Rule(
        "cache_hits", "Part of the blocks that were found in PostgreSQL's own memory",
        "raise shared_buffers, or find the statements that read most (pg_stat_statements)",
        "ratio", 0.9, options={"blocks": 1_000_000}, low=True, server=True,
        sql="""
            SELECT 'blocks of database ' || datname, blks_hit::numeric / (blks_hit + blks_read) FROM pg_stat_database
             WHERE datname = current_database() AND blks_hit + blks_read >= greatest(1, %(blocks)s)
        """,
    ),
    Rule(
        "long_transactions", "Time that a transaction is at work, while vacuum keeps every row that it may see",
        "see what it does, or end it with pg_terminate_backend(pid)",
        "seconds", 300, 3600, kind=WORST, server=True,
        sql=f"""
            SELECT {_SESSION}, extract(epoch FROM clock_timestamp() - xact_start), left(query, 60) FROM {_SESSIONS}
               AND xact_start IS NOT NULL AND state !~ '^idle' AND backend_type = 'client backend'
        """,
    ),
    Rule(
        "idle_in_transaction", "Time that a session does nothing in an open transaction, which keeps its locks",
        "have the application end its transactions, or set idle_in_transaction_session_timeout; "
        "pg_terminate_backend(pid) ends one",
        "seconds", 60, 900, kind=WORST, server=True,
        sql=f"""
            SELECT {_SESSION}, extract(epoch FROM clock_timestamp() - state_change), left(query, 60) FROM {_SESSIONS}
               AND state ~ '^idle in transaction'
        """,
    ),
    Rule(
        "prepared_transactions", "Time since a transaction was prepared that nobody has ended",
        "end it with COMMIT PREPARED or ROLLBACK PREPARED: it keeps its locks, also when the server starts anew",
        "seconds", 300, 3600, kind=WORST, server=True,
        sql="""
            SELECT format('%%L of role %%s', gid, owner), extract(epoch FROM clock_timestamp() - prepared)
              FROM pg_prepared_xacts WHERE database = current_database()
        """,
    ),
    Rule(
        "replication_slots", "Bytes of the log that a replication slot keeps which nobody reads",
        "connect its reader again, or drop it with pg_drop_replication_slot(name) before it fills the disk",
        "bytes", 100_000_000, 10_000_000_000, server=True,
        sql="""
            SELECT slot_name, coalesce(pg_wal_lsn_diff(
                       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
                       restart_lsn), 0)
              FROM pg_replication_slots WHERE NOT active
        """,
    ),
    Rule(
        "waiting_locks", "Time that a session waits for a lock",
        "see what the other one does, or end it with pg_terminate_backend(pid)",
        "seconds", 10, 300, kind=WORST, server=True,
        sql=f"""
            SELECT {_SESSION}, extract(epoch FROM clock_timestamp() - coalesce(
                       (SELECT min((to_jsonb(l) ->> 'waitstart')::timestamptz) FROM pg_locks l
                         WHERE l.pid = a.pid AND NOT l.granted), query_start)),
                   'for process ' || array_to_string(pg_blocking_pids(pid), ', ')
              FROM {_SESSIONS.replace("pg_stat_activity", "pg_stat_activity a")} AND wait_event_type = 'Lock'
        """,
    ),
    Rule(
        "slow_statements", "Mean time of a statement, by pg_stat_statements",
        "see its plan with EXPLAIN (ANALYZE, BUFFERS)",
        "seconds", 1, options={"calls": 20}, kind=WORST, server=True,
    ),
    Rule(
        "connections", "Part of the allowed connections that are taken",
        "give each instance of the application a smaller pool, or raise the limit",
        "ratio", 0.8, 0.95, server=True,
        sql=_CONNECTIONS,
    ),
    Rule(
        "disk", "Part of a disk that is full",
        "free some space there: without any the server stops and no backup can be taken",
        "ratio", 0.85, 0.95,
    ),
    Rule(
        "backup_age", "Time since the newest proved backup, or the first deploy where there is none",
        "take one with slipway.deploy.backup, and have a timer do so every day",
        "seconds", 7 * 86400, 30 * 86400,
    ),
    Rule(
        "certificate", "Time for which the site's certificate is still valid",
        "get a new one, or see why its timer got none (journalctl, or log beside its settings)",
        "seconds", 14 * 86400, 3 * 86400, low=True,
    ),
    Rule(
        "database_certificate", "Time for which the certificate is still valid by which other hosts know the database",
        "deploy, which renews it in its last year",
        "seconds", 180 * 86400, 30 * 86400, low=True,
    ),
)  # fmt: skip
