"""What a person pastes into other tools to read the lake there: `lake duckdb --print`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chalicelib.lake import RESULTS
from chalicelib.settings import Settings

SQL = "SELECT artist_name, count(*) AS plays FROM plays GROUP BY artist_name ORDER BY plays DESC LIMIT 10"


@dataclass(frozen=True, slots=True)
class Snippet:
    """The lines for one tool. ``language`` is that of the lines: what a documentation page or an editor calls it."""

    tool: str
    language: str
    lines: str


def duckdb_snippets(path: Path) -> Iterator[Snippet]:
    """How tools on this computer read the DuckDB file."""
    file = path.as_posix()
    connected = f'import duckdb\n\nlake = duckdb.connect("{file}", read_only=True)\n'
    yield Snippet("DuckDB", "sh", f'duckdb -readonly "{file}" "{SQL}"')
    yield Snippet("Python", "python", f'{connected}rows = lake.execute("""{SQL}""").fetchall()')
    yield Snippet("pandas", "python", f'{connected}frame = lake.execute("""{SQL}""").df()')
    yield Snippet("polars", "python", f'{connected}frame = lake.execute("""{SQL}""").pl()')
    yield Snippet(
        "Jupyter",
        "python",
        f'%pip install --quiet duckdb pandas\n{connected}lake.sql("""{SQL}""").df()',
    )
    yield Snippet(
        "R",
        "r",
        f'lake <- DBI::dbConnect(duckdb::duckdb(), dbdir = "{file}", read_only = TRUE)\nDBI::dbGetQuery(lake, "{SQL}")',
    )
    yield Snippet("R, by DuckDB's command", "r", f'plays <- read.csv(pipe(\'duckdb -readonly -csv "{file}" "{SQL}"\'))')
    yield Snippet(
        "SQLAlchemy (Superset)",
        "python",
        "from sqlalchemy import create_engine, text\n\n"
        f'lake = create_engine("duckdb:///{file}", connect_args={{"read_only": True}})\n'
        f'rows = lake.connect().execute(text("""{SQL}""")).fetchall()',
    )
    yield Snippet("JDBC (Metabase, DBeaver)", "text", f"jdbc:duckdb:{file}\nduckdb.read_only=true")
    yield Snippet(
        "dbt-duckdb (profiles.yml)",
        "yaml",
        "lake:\n  target: dev\n  outputs:\n    dev:\n      type: duckdb\n      path: models.duckdb\n"
        f"      attach:\n        - path: {file}\n          alias: lake\n          read_only: true",
    )


def athena_snippets(settings: Settings, region: str) -> Iterator[Snippet]:
    """How tools reach the tables of a lake on AWS; each takes AWS's credentials as AWS's own command line does."""
    group, database = settings.athena_workgroup, settings.glue_database
    results = f"{settings.lake_url.rstrip('/')}/{RESULTS}athena/"
    yield Snippet(
        "AWS's command line",
        "sh",
        f"aws athena start-query-execution --region {region} --work-group {group} "
        f'--query-execution-context Database={database} --query-string "{SQL}"',
    )
    yield Snippet(
        "Athena's JDBC driver (Metabase, DBeaver, Tableau)",
        "text",
        f"jdbc:athena://Region={region};WorkGroup={group};Catalog=AwsDataCatalog;Database={database};",
    )
    yield Snippet(
        "PyAthena",
        "python",
        "from pyathena import connect\n\n"
        f'lake = connect(region_name="{region}", work_group="{group}", schema_name="{database}")\n'
        f'rows = lake.cursor().execute("""{SQL}""").fetchall()',
    )
    yield Snippet(
        "AWS SDK for pandas",
        "python",
        "import awswrangler\nimport boto3\n\n"
        f'frame = awswrangler.athena.read_sql_query(\n    """{SQL}""",\n    database="{database}",\n'
        f'    workgroup="{group}",\n    ctas_approach=False,\n'
        f'    boto3_session=boto3.Session(region_name="{region}"),\n)',
    )
    yield Snippet(
        "dbt-athena (profiles.yml)",
        "yaml",
        f"lake:\n  target: dev\n  outputs:\n    dev:\n      type: athena\n      region_name: {region}\n"
        f"      database: awsdatacatalog\n      schema: {database}_models\n      work_group: {group}\n"
        f"      s3_staging_dir: {results}",
    )
