"""How Trino reads what the emulated Glue and S3 hold, and how Athena stores a view in Glue.

One Trino serves many emulations and, in each, the roles that query. Every role has a catalogue of its own there, whose
requests carry that role's access key: what Athena reads on somebody's behalf is held against somebody's rights. To
Athena they are all ``awsdatacatalog``, which is also what its views call it; so that word is exchanged for the
catalogue's name in statements and views on their way to Trino, and back in messages.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tests.support import trino

if TYPE_CHECKING:
    from tests.emulator.server import Call, Emulator

CATALOGUE = "awsdatacatalog"
NUMBERS = itertools.count(1)
VIEW_TEXT = re.compile(r"/\* Presto View: (\S+) \*/")
QUALIFIED = re.compile(rf'"{CATALOGUE}"(?=\.)|\b{CATALOGUE}(?=\.)', re.IGNORECASE)
UNBOUNDED = 2147483647  # the length of a varchar without one
WIDENINGS = {("int", "bigint"), ("float", "double")}
STEADY = {
    "hive.metastore-cache-ttl": "1h",
    "hive.metastore-cache.cache-partitions": "true",
    "hive.metastore-cache-maximum-size": "10000",
    "hive.file-status-cache-tables": "*",
    "hive.file-status-cache-expire-time": "1h",
}
HIVE_NAMES = {"varchar": "string", "integer": "int", "real": "float", "varbinary": "binary"}


class Incompatible(Exception):
    """Athena's reason for not reading a partition."""


class Catalogues:
    """The catalogues of one emulation, each made when first needed."""

    def __init__(self, aws: Emulator) -> None:
        self.aws = aws
        self.keys: dict[str, str] = {}  # access key -> catalogue
        self.incompatible: dict[str, str] = {}  # catalogue -> why its last query could not read a partition
        self._of_roles: dict[tuple[str | None, bool], str] = {}
        self._making = threading.Lock()

    def of(self, role: str | None, *, steady: bool = False) -> str:
        """The name of a role's catalogue; None stands for somebody with all rights. A ``steady`` one looks at tables
        and files once: for a lake that does not change any more."""
        with self._making:
            if (role, steady) not in self._of_roles:
                name = f"athena_{os.getpid()}_{next(NUMBERS)}"
                key = name.upper()
                self.keys[key] = name
                if role is not None:
                    self.aws.roles[key] = role
                told = {**self._properties(key), **(STEADY if steady else {})}
                listed = ", ".join(f"\"{each}\" = '{value}'" for each, value in told.items())
                trino.shared().ask(f"CREATE CATALOG {name} USING hive WITH ({listed})")
                self._of_roles[role, steady] = name
            return self._of_roles[role, steady]

    def close(self) -> None:
        for name in self._of_roles.values():
            trino.shared().ask(f"DROP CATALOG {name}")
        self._of_roles.clear()

    def _properties(self, key: str) -> dict[str, str]:
        from tests.emulator.server import REGION

        return {
            "hive.metastore": "glue",
            "hive.metastore.glue.region": REGION,
            "hive.metastore.glue.endpoint-url": self.aws.url,
            "hive.metastore.glue.aws-access-key": key,
            "hive.metastore.glue.aws-secret-key": "secret",
            "hive.metastore.glue.partitions-segments": "1",  # moto answers each segment with all partitions
            "hive.metastore.glue.max-error-retries": "1",
            "hive.metastore-stats-cache-ttl": "0s",
            "hive.table-statistics-enabled": "false",  # moto has none
            "hive.security": "allow-all",
            "fs.hadoop.enabled": "false",
            "fs.native-s3.enabled": "true",
            "s3.endpoint": self.aws.url,
            "s3.region": REGION,
            "s3.path-style-access": "true",
            "s3.aws-access-key": key,
            "s3.aws-secret-key": "secret",
        }

    def for_trino(self, call: Call, body: bytes) -> bytes:
        """Glue's answer to one of Trino's requests, as Trino must read it. Raises Incompatible."""
        if call.operation == "BatchGetPartition":
            answer = json.loads(body)
            table = self.aws.client("glue").get_table(
                DatabaseName=call.body["DatabaseName"], Name=call.body["TableName"]
            )
            for partition in answer["Partitions"]:
                require_compatible(table["Table"], partition)
            return json.dumps({"UnprocessedKeys": [], **answer}).encode()  # Trino 435 counts on what moto leaves out
        if call.operation in ("GetTable", "GetTables"):
            catalogue = self.keys[call.key]
            return VIEW_TEXT.sub(lambda found: view_text(renamed(found[1], catalogue)), body.decode()).encode()
        return body


def require_compatible(table: dict[str, Any], partition: dict[str, Any]) -> None:
    """Athena compares a Parquet partition's columns with its table's by name; a type may only become wider, while
    Trino reads many more pairs. Raises Incompatible.

    Source: Athena's guide, "Updates in tables with partitions".
    """
    declared = {each["Name"]: each["Type"] for each in table["StorageDescriptor"]["Columns"]}
    for each in partition["StorageDescriptor"]["Columns"]:
        name, kind = each["Name"], each["Type"]
        if declared.get(name, kind) != kind and (kind, declared[name]) not in WIDENINGS:
            raise Incompatible(
                "HIVE_PARTITION_SCHEMA_MISMATCH: There is a mismatch between the table and partition schemas. The "
                f"types are incompatible and cannot be coerced. The column '{name}' in table "
                f"'{table['DatabaseName']}.{table['Name']}' is declared as type '{declared[name]}', but partition "
                f"'month={partition['Values'][0]}' declared column '{name}' as type '{kind}'."
            )


def renamed(encoded: str, catalogue: str) -> dict[str, Any]:
    definition: dict[str, Any] = json.loads(base64.b64decode(encoded))
    definition["originalSql"] = catalogue_named(definition["originalSql"], catalogue)
    return {**definition, "catalog": catalogue} if definition["catalog"] == CATALOGUE else definition


def catalogue_named(sql: str, catalogue: str) -> str:
    """A statement that names the catalogue as Athena does, with the name that it has in Trino."""
    return QUALIFIED.sub(catalogue, sql)


def view_text(definition: dict[str, Any]) -> str:
    return f"/* Presto View: {base64.b64encode(json.dumps(definition).encode()).decode()} */"


def view_table(database: str, name: str, sql: str, columns: Iterable[trino.Column]) -> dict[str, Any]:
    """A view as Athena writes it to Glue.

    Sources: Trino's ViewReaderUtil, which reads it, and what others found in Glue (terraform-aws-athena-view).
    """
    listed = list(columns)
    definition = {
        "originalSql": sql,
        "catalog": CATALOGUE,
        "schema": database,
        "columns": [{"name": each.name, "type": each.type} for each in listed],
    }
    return {
        "Name": name,
        "Owner": "hadoop",
        "TableType": "VIRTUAL_VIEW",
        "Parameters": {"comment": "Presto View", "presto_view": "true"},
        "PartitionKeys": [],
        "ViewOriginalText": view_text(definition),
        "ViewExpandedText": "/* Presto View */",
        "StorageDescriptor": {
            "Columns": [{"Name": each.name, "Type": hive_type(each.signature)} for each in listed],
            "SerdeInfo": {},
        },
    }


def hive_type(signature: Any) -> str:
    """A Trino type in Hive's words, as Glue's columns have it."""
    kind: str = signature["rawType"]
    inner = [each["value"] for each in signature["arguments"]]
    if kind == "array":
        return f"array<{hive_type(inner[0])}>"
    if kind == "map":
        return f"map<{hive_type(inner[0])},{hive_type(inner[1])}>"
    if kind == "row":
        fields = (f"{each['fieldName']['name']}:{hive_type(each['typeSignature'])}" for each in inner)
        return f"struct<{','.join(fields)}>"
    if kind == "decimal":
        return f"decimal({inner[0]},{inner[1]})"
    if kind == "varchar" and inner[0] < UNBOUNDED:
        return f"varchar({inner[0]})"
    return HIVE_NAMES.get(kind, kind)
