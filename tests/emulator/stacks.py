"""CloudFormation types that moto passes over in silence (its stack says CREATE_COMPLETE), made real here by calling
the services themselves, with boto3's own checks of every property's name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from moto.core.common_models import CloudFormationModel

if TYPE_CHECKING:
    from tests.emulator.server import Emulator

Maker = Callable[[Any, dict[str, Any]], Any]
BODY_LIMIT = 51_200  # bytes of a template that comes directly ("CloudFormation quotas", its user guide)
TOO_LARGE = (
    "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length"
    f" less than or equal to {BODY_LIMIT}"
)


def database(client: Any, p: dict[str, Any]) -> Any:
    client.create_database(DatabaseInput=p["DatabaseInput"])
    return lambda: client.delete_database(Name=p["DatabaseInput"]["Name"])


def table(client: Any, p: dict[str, Any]) -> Any:
    name = p["TableInput"]["Name"]
    try:
        client.create_table(DatabaseName=p["DatabaseName"], TableInput=p["TableInput"])
    except client.exceptions.AlreadyExistsException:
        client.update_table(DatabaseName=p["DatabaseName"], TableInput=p["TableInput"])

    def undo() -> None:  # a database takes its tables with it
        with suppress(client.exceptions.EntityNotFoundException):
            client.delete_table(DatabaseName=p["DatabaseName"], Name=name)

    return undo


def crawler(client: Any, p: dict[str, Any]) -> Any:
    if p["SchemaChangePolicy"]["DeleteBehavior"] != "LOG" and p["Targets"].get("CatalogTargets"):
        raise ValueError("InvalidInputException: the delete behavior must be LOG for catalog targets")
    client.create_crawler(**p)
    return lambda: client.delete_crawler(Name=p["Name"])


def workgroup(client: Any, p: dict[str, Any]) -> Any:
    client.create_work_group(Name=p["Name"], Description=p["Description"], Configuration=p["WorkGroupConfiguration"])
    return lambda: client.delete_work_group(WorkGroup=p["Name"], RecursiveDeleteOption=p["RecursiveDeleteOption"])


def bucket(client: Any, p: dict[str, Any]) -> Any:
    from tests.emulator.server import ACCOUNT, REGION

    name = p["BucketName"]
    namespace = p.get("BucketNamespace", "global")
    if (namespace == "account-regional") != name.endswith(f"-{ACCOUNT}-{REGION}-an"):
        raise ValueError(f"the name {name} does not go with the namespace {namespace}")
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration=p["VersioningConfiguration"])
    rules = p["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    encryption = [{"ApplyServerSideEncryptionByDefault": each["ServerSideEncryptionByDefault"]} for each in rules]
    client.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": encryption})
    client.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=p["PublicAccessBlockConfiguration"])
    client.put_bucket_ownership_controls(Bucket=name, OwnershipControls=p["OwnershipControls"])
    lifecycle = {"Rules": [lifecycle_rule(each) for each in p["LifecycleConfiguration"]["Rules"]]}
    client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration=lifecycle)
    cors = [{**{k: v for k, v in each.items() if k != "MaxAge"}, "MaxAgeSeconds": each["MaxAge"]}
            for each in p["CorsConfiguration"]["CorsRules"]]  # fmt: skip
    for rule in cors:
        rule["ExposeHeaders"] = rule.pop("ExposedHeaders")
    client.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": cors})
    return lambda: None  # kept: DeletionPolicy


def lifecycle_rule(told: dict[str, Any]) -> dict[str, Any]:
    """A rule in CloudFormation's words as one in S3's."""
    rule: dict[str, Any] = {"ID": told["Id"], "Status": told["Status"], "Filter": {"Prefix": told["Prefix"]}}
    if "ExpirationInDays" in told:
        rule["Expiration"] = {"Days": told["ExpirationInDays"]}
    if told.get("ExpiredObjectDeleteMarker"):
        rule["Expiration"] = {"ExpiredObjectDeleteMarker": True}
    if "Transitions" in told:
        rule["Transitions"] = [
            {"StorageClass": each["StorageClass"], "Days": each["TransitionInDays"]} for each in told["Transitions"]
        ]
    if "NoncurrentVersionExpiration" in told:
        rule["NoncurrentVersionExpiration"] = told["NoncurrentVersionExpiration"]
    if "AbortIncompleteMultipartUpload" in told:
        rule["AbortIncompleteMultipartUpload"] = told["AbortIncompleteMultipartUpload"]
    return rule


def bucket_policy(client: Any, p: dict[str, Any]) -> Any:
    client.put_bucket_policy(Bucket=p["Bucket"], Policy=json.dumps(p["PolicyDocument"]))
    return lambda: client.delete_bucket_policy(Bucket=p["Bucket"])


def topic_policy(client: Any, p: dict[str, Any]) -> Any:
    for topic in p["Topics"]:
        text = json.dumps(p["PolicyDocument"])
        client.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=text)
    return lambda: None


def alarm(client: Any, p: dict[str, Any]) -> Any:
    client.put_metric_alarm(**p)
    return lambda: client.delete_alarms(AlarmNames=[p["AlarmName"]])


KINDS: dict[str, tuple[str, Maker]] = {
    "AWS::S3::Bucket": ("s3", bucket),
    "AWS::Glue::Database": ("glue", database),
    "AWS::Glue::Table": ("glue", table),
    "AWS::Glue::Crawler": ("glue", crawler),
    "AWS::Athena::WorkGroup": ("athena", workgroup),
    "AWS::S3::BucketPolicy": ("s3", bucket_policy),
    "AWS::SNS::TopicPolicy": ("sns", topic_policy),
    "AWS::CloudWatch::Alarm": ("cloudwatch", alarm),
}


class NotMade(Exception):
    """A resource that its service refuses to make."""

    def __init__(self, kind: str, name: str, reason: str) -> None:
        super().__init__(reason)
        self.kind, self.name, self.reason = kind, name, reason

    def event(self, stack: Any) -> Any:
        """As CloudFormation tells of it."""
        from moto.cloudformation.models import Event

        logical = next(key for key, each in stack.template_dict["Resources"].items() if each["Type"] == self.kind)
        return Event(
            stack.stack_id, stack.name, logical, self.name, self.kind, "CREATE_FAILED", self.reason, None
        )  # fmt: skip


class Made(CloudFormationModel):
    """A resource that was made; knows how to unmake itself."""

    def __init__(self, name: str, kind: str, properties: dict[str, Any], undo: Any) -> None:
        self.physical_resource_id = name
        self.kind, self.properties, self.undo = kind, properties, undo

    def delete(self, *_: Any) -> None:
        self.undo()


@contextmanager
def installed(aws: Emulator) -> Iterator[None]:
    from moto.cloudformation import models, parsing, responses

    classes = {kind: model_for(aws, kind) for kind in KINDS}
    original_create, original_resources = models.CloudFormationBackend.create_stack, models.Stack.create_resources
    original_class, original_update = parsing.resource_class_from_type, models.CloudFormationBackend.update_stack
    asked_to_create = responses.CloudFormationResponse.create_stack
    asked_to_update = responses.CloudFormationResponse.update_stack

    def held_to_limit(asked: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def answer(self: Any) -> Any:
            if len((self._get_param("TemplateBody") or "").encode()) > BODY_LIMIT:
                raise models.ValidationError(message=TOO_LARGE)
            return asked(self)

        return answer

    def class_of(kind: str) -> Any:
        return classes.get(kind) or original_class(kind)

    def update(self: Any, name: str, template: str, role_arn: Any, parameters: Any, tags: Any) -> Any:
        stack = self.get_stack(name)
        if json.loads(stack.template) == json.loads(template):
            raise models.ValidationError(message="No updates are to be performed.")
        return original_update(self, name, template, role_arn, parameters, tags)

    def create_resources(self: Any) -> None:
        try:
            original_resources(self)
        except NotMade as error:  # OnFailure is DELETE in all that is deployed here
            self.events.append(error.event(self))
            self._add_stack_event("DELETE_IN_PROGRESS", f"The following resource(s) failed to create: [{error.name}].")
            with suppress(Exception):
                self.resource_map.delete()
            self._add_stack_event("DELETE_COMPLETE")
            self.status = "DELETE_COMPLETE"

    def create(self: Any, *given: Any, **more: Any) -> Any:
        stack = original_create(self, *given, **more)
        if stack.status == "DELETE_COMPLETE":  # from now on by its id alone
            self.deleted_stacks[stack.stack_id] = self.stacks.pop(stack.stack_id)
        return stack

    parsing.resource_class_from_type = class_of
    models.CloudFormationBackend.update_stack = update
    models.CloudFormationBackend.create_stack = create
    models.Stack.create_resources = create_resources
    responses.CloudFormationResponse.create_stack = held_to_limit(asked_to_create)
    responses.CloudFormationResponse.update_stack = held_to_limit(asked_to_update)
    try:
        yield
    finally:
        responses.CloudFormationResponse.create_stack = asked_to_create
        responses.CloudFormationResponse.update_stack = asked_to_update
        models.CloudFormationBackend.create_stack = original_create
        models.Stack.create_resources = original_resources
        parsing.resource_class_from_type = original_class
        models.CloudFormationBackend.update_stack = original_update


def model_for(aws: Emulator, kind: str) -> Any:
    service, make = KINDS[kind]

    class Model(Made):
        @staticmethod
        def cloudformation_name_type() -> str:
            return ""

        @staticmethod
        def cloudformation_type() -> str:
            return kind

        @classmethod
        def create_from_cloudformation_json(
            cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
        ) -> Any:
            properties = {k: v for k, v in cloudformation_json["Properties"].items() if k != "CatalogId"}
            name = properties.get("BucketName", resource_name)
            try:
                return cls(name, kind, properties, make(aws.client(service), properties))
            except (ClientError, ValueError) as error:
                raise NotMade(kind, name, str(error)) from error

        @classmethod
        def update_from_cloudformation_json(
            cls,
            original_resource: Any,
            new_resource_name: str,
            cloudformation_json: Any,
            account_id: str,
            region_name: str,
        ) -> Any:
            if kind == "AWS::S3::Bucket":
                return original_resource
            if kind != "AWS::Glue::Table":
                original_resource.undo()
            return cls.create_from_cloudformation_json(
                original_resource.physical_resource_id, cloudformation_json, account_id, region_name
            )

        @classmethod
        def delete_from_cloudformation_json(cls, *_: Any) -> None:
            raise NotImplementedError("resources delete themselves")

    return Model
