"""Names of everything in AWS, derived from app and stage, so that two stages live side by side in an account."""

from __future__ import annotations

import re
from dataclasses import dataclass

APP = "spotify-lake"
API_HANDLER = "api_handler"
OWN_NAMESPACE = "-an"  # how bucket names of an account's own namespace end
#: By partition, what addresses of services end in (botocore's endpoints).
DOMAINS = {"aws": "amazonaws.com", "aws-us-gov": "amazonaws.com", "aws-cn": "amazonaws.com.cn",
           "aws-eusc": "amazonaws.eu"}  # fmt: skip
STAGE = re.compile(r"[a-z][a-z0-9-]{0,11}")  # bucket names hold app, stage, account and region in 63 characters


@dataclass(frozen=True, slots=True)
class Names:
    """One stage in one account and region."""

    stage: str
    account: str
    region: str
    app: str = APP
    partition: str = "aws"
    bucket_name: str = ""  # of a stage whose bucket was made when buckets were named otherwise

    def __post_init__(self) -> None:
        if not STAGE.fullmatch(self.stage):
            raise ValueError(f"stage {self.stage!r} must be a small letter, then up to 11 of a-z, 0-9 and -")

    @property
    def base(self) -> str:
        return f"{self.app}-{self.stage}"

    @property
    def stack(self) -> str:
        return self.base

    @property
    def data_stack(self) -> str:
        return f"{self.base}-data"

    @property
    def bucket(self) -> str:
        """In the account's own namespace of the region, where nobody else can make, or wait for, a bucket of this name
        (Amazon S3 user guide, "Namespaces for general purpose buckets")."""
        return self.bucket_name or f"{self.former_bucket}{OWN_NAMESPACE}"

    @property
    def former_bucket(self) -> str:
        """What the bucket of a stage was called in the namespace that all accounts share."""
        return f"{self.base}-{self.account}-{self.region}"

    @property
    def in_own_namespace(self) -> bool:
        return self.bucket.endswith(OWN_NAMESPACE)

    @property
    def lake_url(self) -> str:
        return f"s3://{self.bucket}"

    @property
    def database(self) -> str:
        """Athena wants no hyphens in it."""
        return self.base.replace("-", "_")

    @property
    def workgroup(self) -> str:
        return self.base

    @property
    def crawler(self) -> str:
        return self.base

    @property
    def secret(self) -> str:
        return self.base

    @property
    def dead_letters(self) -> str:
        return f"{self.base}-dead-letters"

    @property
    def topic(self) -> str:
        return f"{self.base}-alarms"

    def layer(self, kind: str) -> str:
        return f"{self.base}-{kind}"

    def function(self, handler: str) -> str:
        """What Chalice calls a function."""
        return self.base if handler == API_HANDLER else f"{self.base}-{handler}"

    def role(self, handler: str) -> str:
        """What Chalice calls a function's role."""
        return f"{self.base}-{handler}"

    def log_group(self, handler: str) -> str:
        return f"/aws/lambda/{self.function(handler)}"

    def arn(self, service: str, resource: str, *, regional: bool = True) -> str:
        where = f"{self.region}:{self.account}" if regional else f":{self.account}"
        return f"arn:{self.partition}:{service}:{where}:{resource}"

    @property
    def domain(self) -> str:
        """What the addresses of the partition's services end in."""
        return DOMAINS.get(self.partition, DOMAINS["aws"])

    @property
    def bucket_arn(self) -> str:
        return f"arn:{self.partition}:s3:::{self.bucket}"

    @property
    def dead_letters_arn(self) -> str:
        return self.arn("sqs", self.dead_letters)

    @property
    def topic_arn(self) -> str:
        return self.arn("sns", self.topic)

    def function_arn(self, handler: str) -> str:
        return self.arn("lambda", f"function:{self.function(handler)}")
