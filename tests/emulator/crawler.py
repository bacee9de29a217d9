"""Glue's crawler over catalogue targets: it looks at the declared tables, adds partitions that it finds, and
gives those that are there the table's columns (``InheritFromTable``)."""

from __future__ import annotations

import json
import re
import time
import uuid
from typing import TYPE_CHECKING, Any

from tests.emulator.athena import snake
from tests.emulator.rights import Need, allowed

if TYPE_CHECKING:
    from tests.emulator.server import Call, Emulator


class Crawlers:
    def __init__(self, aws: Emulator) -> None:
        self.aws = aws
        self.crawls: dict[str, list[dict[str, Any]]] = {}
        self.seconds = 0.0  # that a crawl takes

    def handle(self, call: Call) -> tuple[int, dict[str, Any]] | None:
        method = getattr(self, "on_" + snake(call.operation), None)
        return method(call) if method else None

    def on_start_crawler(self, call: Call) -> tuple[int, dict[str, Any]]:
        name = call.body["Name"]
        crawler = self.aws.client("glue").get_crawler(Name=name)["Crawler"]
        crawls = self.crawls.setdefault(name, [])
        if crawls and crawls[-1]["State"] == "RUNNING":
            return 400, {"__type": "CrawlerRunningException", "Message": f"Crawler {name} has already started"}
        crawls.append({"CrawlId": str(uuid.uuid4()), "State": "RUNNING", "StartTime": time.time()})
        self.aws.in_background(lambda: self._crawl(crawler, crawls[-1]))
        return 200, {}

    def on_list_crawls(self, call: Call) -> tuple[int, dict[str, Any]]:
        return 200, {"Crawls": self.crawls.get(call.body["CrawlerName"], [])[::-1][: call.body.get("MaxResults", 20)]}

    def _crawl(self, crawler: dict[str, Any], crawl: dict[str, Any]) -> None:
        time.sleep(self.seconds)
        role = crawler["Role"].rpartition("/")[2]
        added: list[str] = []
        changed: list[str] = []
        try:
            for target in crawler["Targets"]["CatalogTargets"]:
                for table in target["Tables"]:
                    changed += self._inherit(role, target["DatabaseName"], table)
                    added += self._look(role, target["DatabaseName"], table)
            crawl["State"] = "COMPLETED"
        except PermissionError as error:
            crawl["State"], crawl["ErrorMessage"] = "FAILED", str(error)
        found = {deed: names for deed, names in (("ADD", added), ("UPDATE", changed)) if names}
        told = {deed: {"Count": len(names), "Details": json.dumps({"names": names})} for deed, names in found.items()}
        crawl["Summary"] = json.dumps({"PARTITION": json.dumps(told)})
        crawl["EndTime"] = time.time()

    def _inherit(self, role: str, database: str, name: str) -> list[str]:
        """Give partitions that have other columns than their table the table's."""
        glue = self.aws.client("glue")
        columns = glue.get_table(DatabaseName=database, Name=name)["Table"]["StorageDescriptor"]["Columns"]
        pages = glue.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=name)
        other = [
            each for page in pages for each in page["Partitions"] if each["StorageDescriptor"]["Columns"] != columns
        ]
        for each in other:
            self._need(role, "glue:UpdatePartition", self.aws.arn("glue", f"table/{database}/{name}"))
            storage = {**each["StorageDescriptor"], "Columns": columns}
            told = {"Values": each["Values"], "StorageDescriptor": storage}
            glue.update_partition(
                DatabaseName=database, TableName=name, PartitionValueList=each["Values"], PartitionInput=told
            )
        return [f"{database}.{name}.{each['Values'][0]}" for each in other]

    def _look(self, role: str, database: str, name: str) -> list[str]:
        glue, s3 = self.aws.client("glue"), self.aws.client("s3")
        table = glue.get_table(DatabaseName=database, Name=name)["Table"]
        bucket, _, prefix = table["StorageDescriptor"]["Location"].removeprefix("s3://").partition("/")
        self._need(role, "s3:ListBucket", f"arn:aws:s3:::{bucket}")
        months = set()
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                self._need(role, "s3:GetObject", f"arn:aws:s3:::{bucket}/{entry['Key']}")
                months.update(re.findall(r"/month=([^/]+)/", entry["Key"]))
        pages = glue.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=name)
        known = {each["Values"][0] for page in pages for each in page["Partitions"]}
        for month in sorted(months - known):
            self._need(role, "glue:BatchCreatePartition", self.aws.arn("glue", f"table/{database}/{name}"))
            location = f"s3://{bucket}/{prefix.rstrip('/')}/month={month}/"
            storage = {**table["StorageDescriptor"], "Location": location}
            glue.create_partition(
                DatabaseName=database, TableName=name, PartitionInput={"Values": [month], "StorageDescriptor": storage}
            )
        return [f"{database}.{name}.{month}" for month in sorted(months - known)]

    def _need(self, role: str, action: str, resource: str) -> None:
        if not allowed(self.aws, role, Need(action, resource)):
            raise PermissionError(f"{role} may not {action} on {resource}")
