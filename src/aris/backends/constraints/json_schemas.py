"""JSON schemas without the keywords that say nothing: what generators of schemas write and a grammar has no use for.

JSON Schema 2020-12 makes `format` an annotation, and gives other keywords values with which they allow everything
(`uniqueItems: false`, `propertyNames: true`). A grammar maker that has no form for the keyword would refuse them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Formats that llguidance holds an answer to; any other is an annotation.
_HELD = frozenset({
    "date", "date-time", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid",
})  # fmt: skip
_ONE = (
    "items", "additionalItems", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else",
    "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_LIST = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies")


def without_idle_keywords(schema: Any) -> Any:
    """The schema, which allows the same documents, less the keywords that bind none; values are not looked into.

    Raises:
        RecursionError: it is nested too deep.
    """
    if not isinstance(schema, Mapping):
        return schema
    plain = dict(schema)
    for key in _ONE:
        if isinstance(plain.get(key), Mapping):
            plain[key] = without_idle_keywords(plain[key])
    for key in _LIST:
        if isinstance(plain.get(key), list):
            plain[key] = [without_idle_keywords(each) for each in plain[key]]
    for key in _NAMED:
        if isinstance(plain.get(key), Mapping):
            plain[key] = {name: without_idle_keywords(each) for name, each in plain[key].items()}
    for key in [key for key in plain if _idle(key, plain)]:
        del plain[key]
    return plain


def _idle(key: str, schema: Mapping[str, Any]) -> bool:
    """Return whether a keyword of a schema binds no document."""
    value = schema[key]
    anything = value is True or value == {}
    if key == "format":
        return isinstance(value, str) and value not in _HELD
    if key == "uniqueItems":
        few = schema.get("maxItems")
        return value is False or (value is True and type(few) is int and few <= 1)
    if key in ("propertyNames", "unevaluatedItems", "unevaluatedProperties"):
        return anything
    if key in ("dependentRequired", "dependentSchemas", "dependencies"):
        return isinstance(value, Mapping) and all(each is True or each in ({}, []) for each in value.values())
    if key == "not":
        return value is False
    if key == "contains":
        return schema.get("minContains") == 0 and "maxContains" not in schema
    if key in ("minContains", "maxContains"):
        return "contains" not in schema or (schema.get("minContains") == 0 and "maxContains" not in schema)
    if key == "if":
        return "then" not in schema and "else" not in schema
    return key in ("then", "else") and "if" not in schema
