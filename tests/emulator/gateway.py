"""API Gateway: Chalice's document taken as AWS takes it, and requests sent through authorizer and function."""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.emulator.functions import Throttled

if TYPE_CHECKING:
    from tests.emulator.server import Emulator


@contextmanager
def installed(_aws: Emulator) -> Iterator[None]:
    """moto wants OpenAPI 3 with a description, upper-case types of integration and a URI for each, and drops
    authorizers, endpoint types and compression."""
    from moto.apigateway.models import APIGatewayBackend as Backend
    from moto.apigateway.models import RestAPI
    from moto.apigateway.responses import APIGatewayResponse as Responses

    from tests.emulator.shims import replaced

    def as_three(document: dict[str, Any]) -> dict[str, Any]:
        rest = {key: value for key, value in document.items() if key != "swagger"}
        return {**rest, "openapi": "3.0.1", "info": {"description": "", **document["info"]}}

    def import_rest_api(self: Any, api_doc: Any, fail_on_warnings: Any) -> Any:
        return import_(self, {**api_doc, "info": {"description": "", **api_doc["info"]}}, fail_on_warnings)

    def put_rest_api(self: Any, function_id: str, api_doc: Any, **options: Any) -> Any:
        put(self, function_id, as_three(api_doc), **options)
        api = self.apis[function_id]
        api.binaryMediaTypes = list(api_doc.get("x-amazon-apigateway-binary-media-types", []))
        if options.get("mode") == "overwrite":
            api.authorizers = {}
            api.gateway_responses = {}
        carry_authorizers(self, function_id, api, api_doc)
        return api

    def put_integration(
        self: Any, function_id: str, resource_id: str, method_type: str, integration_type: str, uri: str = "",
        integration_method: Any = None, **more: Any,
    ) -> Any:  # fmt: skip
        kind = integration_type.upper()
        return integrate(self, function_id, resource_id, method_type, kind, uri, integration_method, **more)

    def apply_patch(self: Any, operations: Any) -> Any:
        patch(self, operations)
        for operation in operations:
            if operation["path"] == "/minimumCompressionSize":
                self.minimum_compression_size = int(operation["value"]) if operation.get("value") else None

    def create_deployment(self: Any, function_id: str, *given: Any, **options: Any) -> Any:
        made = deploy(self, function_id, *given, **options)
        api = self.apis[function_id]
        api.refusals_in_force = {kind: told.to_json() for kind, told in api.gateway_responses.items()}
        return made

    def import_response(self: Any) -> Any:
        status, headers, body = self.create_rest_api()
        types = (self.querystring or {}).get("endpointConfigurationTypes")
        if types:
            api = self.backend.apis[json.loads(body)["id"]]
            api.endpoint_configuration = {"types": list(types)}
            body = json.dumps(api.to_dict())
        return status, headers, body

    with ExitStack() as stack:
        put = stack.enter_context(replaced(Backend, "put_rest_api", put_rest_api))
        integrate = stack.enter_context(replaced(Backend, "put_integration", put_integration))
        deploy = stack.enter_context(replaced(Backend, "create_deployment", create_deployment))
        import_ = stack.enter_context(replaced(Backend, "import_rest_api", import_rest_api))
        patch = stack.enter_context(replaced(RestAPI, "apply_patch_operations", apply_patch))
        stack.enter_context(replaced(Responses, "import_rest_api", import_response))
        yield


def carry_authorizers(backend: Any, api_id: str, api: Any, document: dict[str, Any]) -> None:
    ids = {}
    for name, scheme in document.get("securityDefinitions", {}).items():
        told = scheme.get("x-amazon-apigateway-authorizer")
        if told:
            ids[name] = backend.create_authorizer(
                api_id, name, told["type"].upper(), authorizer_uri=told.get("authorizerUri"),
                authorizer_credentials=told.get("authorizerCredentials"),
                auth_type=scheme.get("x-amazon-apigateway-authtype"),
                identity_source="method.request.header." + scheme["name"],
                authorizer_result_ttl=told.get("authorizerResultTtlInSeconds", 300),
            ).id  # fmt: skip
    for resource in api.resources.values():
        operations = document["paths"].get(resource.get_path(), {})
        for verb, method in resource.resource_methods.items():
            wanted = [key for each in operations.get(verb.lower(), {}).get("security", []) for key in each]
            method.authorization_type = "CUSTOM" if any(each in ids for each in wanted) else "NONE"
            method.authorizer_id = next((ids[each] for each in wanted if each in ids), None)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Api:
    """Calls the deployed API: finds the route, asks the authorizer where there is one, runs the function."""

    def __init__(self, aws: Emulator, api_id: str, *, remembers: bool = False) -> None:
        """``remembers``: what the authorizer said of a token, for as long as the API says."""
        self.aws = aws
        self.id = api_id
        self.throttled = False
        self.remembers = remembers
        self._verdicts: dict[tuple[str, str], tuple[float, Any]] = {}
        self._asking = threading.Lock()
        self.client = aws.client("apigateway")
        pages = self.client.get_paginator("get_resources").paginate(restApiId=api_id, embed=["methods"])
        self.resources = {each["path"]: each for page in pages for each in page["items"]}

    @property
    def host(self) -> str:
        from tests.emulator.server import REGION

        return f"{self.id}.execute-api.{REGION}.amazonaws.com"

    def routes(self) -> dict[tuple[str, str], str]:
        """Authorization type of every method and path."""
        found = {}
        for path, resource in self.resources.items():
            for verb in resource.get("resourceMethods", {}):
                method = self.client.get_method(restApiId=self.id, resourceId=resource["id"], httpMethod=verb)
                found[verb, path] = method["authorizationType"]
        return found

    def __call__(self, verb: str, target: str, body: Any = None, token: str | None = None, **headers: str) -> Answer:
        """What the gateway answers; ``body`` is text as it came, or what is sent as JSON."""
        path, _, query = target.partition("?")
        if self.throttled:
            return self._refuse("THROTTLED", 429, "Too Many Requests")
        template, values = self._match(path)
        resource = self.resources.get(template, {})
        if verb not in resource.get("resourceMethods", {}):
            return self._refuse("MISSING_AUTHENTICATION_TOKEN", 403, "Missing Authentication Token")
        method = self.client.get_method(restApiId=self.id, resourceId=resource["id"], httpMethod=verb)
        context: dict[str, Any] = {"httpMethod": verb, "resourcePath": template, "requestId": "r-1", "stage": "api",
                                   "path": f"/api{path}", "identity": {"sourceIp": "127.0.0.1"},
                                   "domainName": self.host}  # fmt: skip
        if method["authorizationType"] == "CUSTOM":
            if token is None:
                return self._refuse("UNAUTHORIZED", 401, "Unauthorized")
            verdict = self._authorize(method["authorizerId"], verb, path, token)
            if isinstance(verdict, Answer):
                return verdict
            context["authorizer"] = verdict
        sent = {"Accept": "*/*", "Content-Type": "application/json", **headers}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
        event = {
            "resource": template, "path": path, "httpMethod": verb, "headers": sent,
            "multiValueHeaders": {name: [value] for name, value in sent.items()},
            "queryStringParameters": dict(pairs) or None,
            "multiValueQueryStringParameters": {key: [v for k, v in pairs if k == key] for key, _ in pairs} or None,
            "pathParameters": values or None, "stageVariables": None, "requestContext": context,
            "body": body if body is None or isinstance(body, str) else json.dumps(body), "isBase64Encoded": False,
        }  # fmt: skip
        try:
            outcome = self.aws.functions.call(function_of(method["methodIntegration"]["uri"]), event)
        except Throttled:  # Lambda's 429 becomes a 500 of the gateway's
            return self._refuse("INTEGRATION_FAILURE", 500, "Internal server error")
        if outcome.failed:
            return self._refuse("INTEGRATION_FAILURE", 502, "Internal server error")
        told = json.loads(outcome.payload)
        text = told["body"]
        if told.get("isBase64Encoded"):
            text = base64.b64decode(text).decode()
        lines = {name.lower(): str(value[-1]) for name, value in told.get("multiValueHeaders", {}).items()}
        lines |= {name.lower(): str(value) for name, value in told.get("headers", {}).items()}
        return Answer(told["statusCode"], lines, text)

    def _authorize(self, authorizer_id: str, verb: str, path: str, token: str) -> Any:
        """What goes along with a request that is let in, or the refusal."""
        from tests.emulator.rights import listed, matches

        arn = self.aws.arn("execute-api", f"{self.id}/api/{verb}{path}")
        with self._asking if self.remembers else nullcontext():
            until, told = self._verdicts.get((authorizer_id, token), (0.0, None))
            if time.monotonic() >= until:
                told = self._ask(authorizer_id, arn, token)
        if isinstance(told, Answer):
            return told
        for statement in told["policyDocument"]["Statement"]:
            if statement["Effect"] == "Allow" and any(matches(each, arn) for each in listed(statement["Resource"])):
                return {"principalId": told["principalId"], **told.get("context", {})}
        return self._refuse("ACCESS_DENIED", 403, "User is not authorized to access this resource")

    def _ask(self, authorizer_id: str, arn: str, token: str) -> Any:
        """The authorizer's own answer, or the refusal where it gives none."""
        authorizer = self.client.get_authorizer(restApiId=self.id, authorizerId=authorizer_id)
        event = {"type": "TOKEN", "methodArn": arn, "authorizationToken": f"Bearer {token}"}
        try:
            outcome = self.aws.functions.call(function_of(authorizer["authorizerUri"]), event)
        except Throttled:
            return self._refuse("AUTHORIZER_FAILURE", 500, "Internal server error")
        told = json.loads(outcome.payload)
        if outcome.failed:
            if told.get("errorMessage") == "Unauthorized":
                return self._refuse("UNAUTHORIZED", 401, "Unauthorized")
            return self._refuse("AUTHORIZER_FAILURE", 500, "Internal server error")
        if self.remembers:
            lasts = float(authorizer["authorizerResultTtlInSeconds"])
            self._verdicts[authorizer_id, token] = time.monotonic() + lasts, told
        return told

    def _match(self, path: str) -> tuple[str, dict[str, str]]:
        wanted = path.split("/")
        for template in sorted(self.resources, key=lambda each: each.count("{")):
            parts = template.split("/")
            if (
                len(parts) == len(wanted)
                and all(p == w or p.startswith("{") for p, w in zip(parts, wanted, strict=True))
                and self.resources[template].get("resourceMethods")
            ):
                values = {p.strip("{}"): urllib.parse.unquote(w) for p, w in zip(parts, wanted, strict=True)
                          if p.startswith("{")}  # fmt: skip
                return template, values
        return "", {}

    def _refuse(self, kind: str, status: int, message: str) -> Answer:
        """What the gateway answers itself: the response in force of that type, or of its class, or its own."""
        from moto.apigateway.models import apigateway_backends

        from tests.emulator.server import ACCOUNT, REGION

        api = apigateway_backends[ACCOUNT][REGION].apis[self.id]
        in_force = getattr(api, "refusals_in_force", {})
        told = in_force.get(kind) or in_force.get(f"DEFAULT_{status // 100}XX")
        if told is None:
            return Answer(status, {}, json.dumps({"message": message}))
        headers = {
            name.removeprefix("gatewayresponse.header.").lower(): value[1:-1] if value.startswith("'") else "r-1"
            for name, value in told.get("responseParameters", {}).items()
        }
        text = told["responseTemplates"]["application/json"].replace("$context.error.responseType", kind)
        return Answer(int(told.get("statusCode") or status), headers, text)


def function_of(uri: str) -> str:
    return uri.partition(":function:")[2].partition("/")[0]
