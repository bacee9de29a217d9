"""The lake's tables in the Glue Data Catalog: partitions as they are written, locations when a rebuild is published.

Athena sees only partitions that the catalogue names. Glue's crawler would find them, but bills ten minutes at least
for each crawl; whoever writes a partition's first file registers it instead, which is one free call.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from chalicelib.errors import StorageUnavailable
from chalicelib.lake import TRANSFORMED, Lake, partition_prefix, table_prefix
from chalicelib.settings import Settings
from chalicelib.stores.aws import client, lake_errors
from chalicelib.tables import PHYSICAL

BATCH = 100  # partitions, Glue's BatchCreatePartition and BatchUpdatePartition
BATCH_DELETE = 25  # partitions, Glue's BatchDeletePartition
PLACE = re.compile(rf"{TRANSFORMED}(?P<generation>[^/]+)/(?P<table>\w+)/month=(?P<month>[\w-]+)/")

Partition = tuple[str, str]  # table, month


class GlueTables:
    """One database of Glue. Remembers what it has registered, so that a warm function asks once per partition."""

    def __init__(self, database: str, lake: Lake, *, glue: Any = None) -> None:
        self.database = database
        self._lake = lake
        self._given = glue
        self._known: set[tuple[str, str, str]] = set()

    @property
    def _glue(self) -> Any:
        return self._given or client("glue")

    def register(self, keys: Iterable[str]) -> list[Partition]:
        """Make the partitions that these files lie in known; answers those that are new.

        Files of a generation that is not in force are left to :meth:`publish`.
        """
        wanted = {(m["generation"], m["table"], m["month"]) for m in map(PLACE.match, keys) if m} - self._known
        added: list[Partition] = []
        for name in sorted({table for _, table, _ in wanted if table in PHYSICAL}):
            table = self._table(name)
            location = table["StorageDescriptor"]["Location"].rstrip("/")
            places = {place for place in wanted if place[1] == name and location.endswith(f"/{place[0]}/{name}")}
            added += [(name, month) for month in self._create(table, sorted(month for _, _, month in places))]
            self._known |= places
        return added

    def register_all(self) -> list[Partition]:
        """Make every partition of the generation in force known that has files."""
        return self.register(info.key for info in self._lake.store.list(f"{TRANSFORMED}{self._lake.generation()}/"))

    def publish(self, generation: str) -> None:
        """Point every table at ``generation``, and its partitions with it. Safe to repeat."""
        for name, wanted in self._stored(generation).items():
            self._move_partitions(self._move_table(name, generation), generation, sorted(wanted))
        self._known.clear()

    def forget_empty(self) -> list[Partition]:
        """Take partitions without files out of the catalogue, each of which costs every query a listing; answers
        those. What a writer brings at the same time is looked for once more and made known again."""
        generation = self._lake.generation()
        gone: list[Partition] = []
        for name, stored in self._stored(generation).items():
            there = self._lake.store.location(table_prefix(generation, name)).rstrip("/")
            known = self.months(name)
            empty = {month for month in known.keys() - stored if known[month].startswith(f"{there}/")}
            self.forget(name, empty)
            gone += [(name, month) for month in sorted(empty)]
        if gone:
            self.register_all()
        return gone

    def forget(self, table: str, months: Iterable[str]) -> None:
        """Take partitions out of the catalogue; their files stay."""
        listed = [{"Values": [month]} for month in sorted(months)]
        for start in range(0, len(listed), BATCH_DELETE):
            batch = listed[start : start + BATCH_DELETE]
            with self._errors(f"forget partitions of {table}"):
                answer = self._glue.batch_delete_partition(
                    DatabaseName=self.database, TableName=table, PartitionsToDelete=batch
                )
            for month, code in error_codes(answer).items():
                if code != "EntityNotFoundException":
                    raise StorageUnavailable(f"Glue did not forget {month} of {table}: {code}")
        self._known = {place for place in self._known if place[1] != table}

    def described(self) -> dict[str, dict[str, Any]]:
        """Glue's own description of every table and view, by name."""
        with self._errors("list the tables"):
            pages = self._glue.get_paginator("get_tables").paginate(DatabaseName=self.database)
            return {table["Name"]: table for page in pages for table in page["TableList"]}

    def months(self, table: str) -> dict[str, str]:
        """The registered partitions of a physical table and their locations."""
        with self._errors(f"list the partitions of {table}"):
            pages = self._glue.get_paginator("get_partitions").paginate(
                DatabaseName=self.database, TableName=table, ExcludeColumnSchema=True
            )
            found = [partition for page in pages for partition in page["Partitions"]]
        return {each["Values"][0]: each["StorageDescriptor"]["Location"].rstrip("/") for each in found}

    def _stored(self, generation: str) -> dict[str, set[str]]:
        """The partitions of each physical table that have files."""
        months: dict[str, set[str]] = {name: set() for name in PHYSICAL}
        for info in self._lake.store.list(f"{TRANSFORMED}{generation}/"):
            match = PLACE.match(info.key)
            if match and match["table"] in months:
                months[match["table"]].add(match["month"])
        return months

    def _table(self, name: str) -> dict[str, Any]:
        with self._errors(f"look at {name}"):
            table: dict[str, Any] = self._glue.get_table(DatabaseName=self.database, Name=name)["Table"]
        return table

    def _create(self, table: dict[str, Any], months: list[str]) -> Iterator[str]:
        for start in range(0, len(months), BATCH):
            batch = [partition_of(table, month) for month in months[start : start + BATCH]]
            with self._errors(f"register partitions of {table['Name']}"):
                answer = self._glue.batch_create_partition(
                    DatabaseName=self.database, TableName=table["Name"], PartitionInputList=batch
                )
            faults = error_codes(answer)
            for month in months[start : start + BATCH]:
                if faults.get(month, "AlreadyExistsException") != "AlreadyExistsException":
                    raise StorageUnavailable(f"Glue did not take {month} of {table['Name']}: {faults[month]}")
                if month not in faults:
                    yield month

    def _move_table(self, name: str, generation: str) -> dict[str, Any]:
        table = self._table(name)
        location = self._lake.store.location(table_prefix(generation, name))
        if table["StorageDescriptor"]["Location"].rstrip("/") == location.rstrip("/"):
            return table
        kept = ("Name", "Description", "PartitionKeys", "TableType", "Parameters")
        moved = {key: table[key] for key in kept if key in table}
        moved["StorageDescriptor"] = {**table["StorageDescriptor"], "Location": location}
        with self._errors(f"move {name}"):
            self._glue.update_table(DatabaseName=self.database, TableInput=moved)
        return moved

    def _move_partitions(self, table: dict[str, Any], generation: str, months: list[str]) -> None:
        """Each month's location changes in one step, so that no query finds a month missing."""
        name = table["Name"]
        there = {m: self._lake.store.location(partition_prefix(generation, name, m)).rstrip("/") for m in months}
        known = self.months(name)
        self._relocate(table, [month for month in months if known.get(month) not in (None, there[month])])
        list(self._create(table, [month for month in months if month not in known]))
        self.forget(name, known.keys() - there.keys())

    def _relocate(self, table: dict[str, Any], months: list[str]) -> None:
        """Point partitions that are there at the table's own location."""
        name = table["Name"]
        for start in range(0, len(months), BATCH):
            batch = [
                {"PartitionValueList": [month], "PartitionInput": partition_of(table, month)}
                for month in months[start : start + BATCH]
            ]
            with self._errors(f"move partitions of {name}"):
                answer = self._glue.batch_update_partition(DatabaseName=self.database, TableName=name, Entries=batch)
            for failure in answer.get("Errors", []):
                month, code = failure["PartitionValueList"][0], failure["ErrorDetail"]["ErrorCode"]
                raise StorageUnavailable(f"Glue did not move {month} of {name}: {code}")

    def _errors(self, doing: str) -> Any:
        return lake_errors(f"{doing} in the Glue database {self.database}", database=self.database)


def partition_of(table: dict[str, Any], month: str) -> dict[str, Any]:
    """Glue's PartitionInput of one month: the table's own columns and format, in a folder below the table's."""
    storage = table["StorageDescriptor"]
    location = f"{storage['Location'].rstrip('/')}/month={month}/"
    return {"Values": [month], "StorageDescriptor": {**storage, "Location": location}}


def error_codes(answer: dict[str, Any]) -> dict[str, str]:
    """The months that a batch call of Glue failed for, and why; the call as a whole succeeds nevertheless."""
    return {each["PartitionValues"][0]: each["ErrorDetail"]["ErrorCode"] for each in answer.get("Errors", [])}


def register(settings: Settings, lake: Lake, keys: Iterable[str] | None) -> list[Partition]:
    """Make known the partitions that files with these keys lie in, or (None) every one that has files; answers those
    that are new. A lake that has no catalogue of Glue's needs none of it.

    Whoever writes files of the tables calls this with the keys: functions and commands alike.
    """
    if not (settings.glue_database and settings.on_aws):
        return []
    tables = remembering(settings.glue_database, lake)
    return tables.register_all() if keys is None else tables.register(keys)


def forget_empty(settings: Settings, lake: Lake) -> list[Partition]:
    """Have the catalogue, where there is one, name no partition without files; answers those that it named."""
    if not (settings.glue_database and settings.on_aws):
        return []
    return remembering(settings.glue_database, lake).forget_empty()


@cache
def remembering(database: str, lake: Lake) -> GlueTables:
    """One for the life of a warm function."""
    return GlueTables(database, lake)
