"""What a request may hold: fields declared once, checked here and shown in the OpenAPI document.

A field's *kind* reads a JSON value or a query parameter's text, and raises ValueError saying what it must be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chalicelib.errors import InvalidRequest

RequestFault = dict[str, str]  # {"in": "query" | "body", "name", "message"}


class ValueKind(Protocol):
    """What a value must be."""

    def read(self, value: Any) -> Any:
        """The value of a JSON field."""

    def read_text(self, text: str) -> Any:
        """The value of a query parameter."""

    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of the field."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Text:
    """A string."""

    least: int = 0  # characters
    most: int = 1_000  # characters
    pattern: str | None = None
    choices: tuple[str, ...] = ()

    def read(self, value: Any) -> str:
        """See ValueKind."""
        if not isinstance(value, str):
            raise ValueError("must be a string")
        if self.choices and value not in self.choices:
            raise ValueError(f"must be one of {', '.join(self.choices)}")
        if not self.least <= len(value) <= self.most:
            raise ValueError(f"must have {self.least} to {self.most} characters")
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise ValueError(f"must match {self.pattern}")
        return value

    read_text = read

    def schema(self) -> dict[str, Any]:
        """See ValueKind."""
        if self.choices:
            return {"type": "string", "enum": list(self.choices)}
        shape: dict[str, Any] = {"type": "string", "minLength": self.least, "maxLength": self.most}
        return shape | ({"pattern": f"^(?:{self.pattern})$"} if self.pattern else {})


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Whole:
    """A whole number."""

    least: int
    most: int

    def read(self, value: Any) -> int:
        """See ValueKind."""
        whole = int(value) if isinstance(value, float) and value.is_integer() else value
        if not isinstance(whole, int) or isinstance(whole, bool) or not self.least <= whole <= self.most:
            raise ValueError(f"must be a whole number from {self.least} to {self.most}")
        return whole

    def read_text(self, text: str) -> int:
        """See ValueKind."""
        return self.read(int(text) if re.fullmatch(r"-?[0-9]{1,20}", text) else text)

    def schema(self) -> dict[str, Any]:
        """See ValueKind."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Number:
    """A number."""

    least: float
    most: float

    def read(self, value: Any) -> float:
        """See ValueKind."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not self.least <= value <= self.most:
            raise ValueError(f"must be a number from {self.least:g} to {self.most:g}")
        return float(value)

    def read_text(self, text: str) -> float:
        """See ValueKind."""
        return self.read(float(text) if re.fullmatch(r"-?[0-9]{1,20}(\.[0-9]{0,20})?", text) else text)

    def schema(self) -> dict[str, Any]:
        """See ValueKind."""
        return {"type": "number", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Scalar:
    """A string, number, boolean or null."""

    def read(self, value: Any) -> Any:
        """See ValueKind."""
        if value is not None and not isinstance(value, str | int | float | bool):
            raise ValueError("must be a string, a number, true, false or null")
        return value

    def read_text(self, text: str) -> str:
        """See ValueKind."""
        return text

    def schema(self) -> dict[str, Any]:
        """See ValueKind."""
        return {"type": ["string", "number", "boolean", "null"]}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AnyObject:
    """A JSON object, whatever is in it."""

    def read(self, value: Any) -> dict[str, Any]:
        """See ValueKind."""
        if not isinstance(value, dict):
            raise ValueError("must be an object")
        return value

    def read_text(self, text: str) -> dict[str, Any]:
        """See ValueKind."""
        return self.read(text)

    def schema(self) -> dict[str, Any]:
        """See ValueKind."""
        return {"type": "object", "additionalProperties": True}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ListOf:
    """A list, of which each item is of one kind."""

    item: ValueKind
    least: int = 0
    most: int = 1_000

    def read(self, value: Any) -> list[Any]:
        """See ValueKind."""
        if not isinstance(value, list) or not self.least <= len(value) <= self.most:
            raise ValueError(f"must be a list of {self.least} to {self.most}")
        return [self._read_item(place, item) for place, item in enumerate(value)]

    def read_text(self, text: str) -> list[Any]:
        """See ValueKind."""
        return self.read(text.split(","))

    def schema(self) -> dict[str, Any]:
        """See ValueKind."""
        return {"type": "array", "items": self.item.schema(), "minItems": self.least, "maxItems": self.most}

    def _read_item(self, place: int, item: Any) -> Any:
        try:
            return self.item.read(item)
        except ValueError as error:
            raise ValueError(f"[{place}] {error}") from None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Field:
    """A query parameter or a member of a JSON body. Without ``required`` a missing one has the default."""

    name: str
    kind: ValueKind
    description: str
    required: bool = False
    default: Any = None
    example: Any = None

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the field, with its description."""
        shape = self.kind.schema() | {"description": self.description}
        if self.default is not None:
            shape["default"] = self.default
        if self.example is not None:
            shape["examples"] = [self.example]
        return shape


def check_query(
    fields: Sequence[Field], given: Mapping[str, Sequence[str]]
) -> tuple[dict[str, Any], list[RequestFault]]:
    """The query parameters' values, and every fault in them."""
    values: dict[str, Any] = {field.name: field.default for field in fields}
    faults = [fault("query", name, "is not a parameter of this endpoint") for name in given if name not in values]
    for field in fields:
        texts = given.get(field.name, [])
        if len(texts) > 1:
            faults.append(fault("query", field.name, "is given more than once"))
        elif texts:
            try:
                values[field.name] = field.kind.read_text(texts[0])
            except ValueError as error:
                faults.append(fault("query", field.name, str(error)))
        elif field.required:
            faults.append(fault("query", field.name, "is missing"))
    return values, faults


def check_body(fields: Sequence[Field], body: Any) -> tuple[dict[str, Any], list[RequestFault]]:
    """The values of a JSON object, and every fault in it."""
    if not isinstance(body, dict):
        return {}, [fault("body", "", "must be a JSON object")]
    values: dict[str, Any] = {field.name: field.default for field in fields}
    faults = [fault("body", name, "is not a field of this request") for name in body if name not in values]
    for field in fields:
        if field.name not in body:
            if field.required:
                faults.append(fault("body", field.name, "is missing"))
            continue
        try:
            values[field.name] = field.kind.read(body[field.name])
        except ValueError as error:
            faults.append(fault("body", field.name, str(error)))
    return values, faults


def fault(where: str, name: str, message: str) -> RequestFault:
    """A fault as ``details.faults`` lists it."""
    return {"in": where, "name": name, "message": message}


def refuse(faults: Sequence[RequestFault]) -> None:
    """Raise InvalidRequest naming every fault, if there is any."""
    if faults:
        told = "; ".join(" ".join(filter(None, (each["name"] or each["in"], each["message"]))) for each in faults)
        raise InvalidRequest(told, faults=list(faults))
