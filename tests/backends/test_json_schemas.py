"""Keywords that bind no document are no reason to refuse a schema, and those that do still are."""

from __future__ import annotations

from typing import Any

import pytest

from aris.backends.constraints.json_schemas import without_idle_keywords
from aris.backends.constraints.masks import Grammar
from aris.errors import ModelError

TEXT: dict[str, Any] = {"type": "string", "maxLength": 5}
LIST: dict[str, Any] = {"type": "array", "items": TEXT, "maxItems": 3}
OBJECT: dict[str, Any] = {"type": "object", "properties": {"a": TEXT}, "required": ["a"]}
ANNOTATIONS: dict[str, Any] = {
    "title": "x", "description": "x", "default": "x", "examples": ["x"], "$comment": "x", "deprecated": True,
    "readOnly": True, "writeOnly": False, "contentMediaType": "text/plain", "contentEncoding": "base64",
    "$id": "https://example.org/s", "example": "x", "x-order": 3,
}  # fmt: skip
IDLE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    *(({key: value}, base) for key, value in ANNOTATIONS.items() for base in (TEXT, LIST, OBJECT)),
    *(
        ({"format": name}, TEXT)
        for name in ("iri", "uri-reference", "json-pointer", "regex", "password", "byte", "markdown", "idn-email")
    ),
    ({"uniqueItems": False}, LIST),
    ({"uniqueItems": True, "maxItems": 1}, LIST | {"maxItems": 1}),
    ({"contains": {"type": "string"}, "minContains": 0}, LIST),
    ({"minContains": 2}, LIST),
    ({"unevaluatedItems": True}, LIST),
    ({"propertyNames": True, "dependentRequired": {}, "dependentSchemas": {"a": True}}, OBJECT),
    ({"unevaluatedProperties": {}, "not": False}, OBJECT),
    ({"then": {"required": ["b"]}}, OBJECT),
    ({"if": {"required": ["b"]}}, OBJECT),
]


@pytest.mark.parametrize(("extra", "base"), IDLE)
def test_a_keyword_that_says_nothing_changes_nothing(extra: dict[str, Any], base: dict[str, Any]) -> None:
    written = base | extra
    assert Grammar.json_schema(written).value == written
    if not extra.keys() & ANNOTATIONS.keys():
        assert Grammar.json_schema(written).source == Grammar.json_schema(base).source
    # Wherever a schema may stand in another.
    for nested in (
        {"type": "object", "properties": {"p": written}},
        {"type": "array", "items": written, "maxItems": 2},
        {"anyOf": [written, {"type": "null"}]},
        {"$defs": {"d": written}, "$ref": "#/$defs/d"},
        {"type": "object", "additionalProperties": written},
    ):
        Grammar.json_schema(nested)


@pytest.mark.parametrize(
    ("extra", "base"),
    [
        ({"uniqueItems": True}, LIST),
        ({"contains": {"type": "string"}}, LIST),
        ({"contains": True, "minContains": 0, "maxContains": 1}, LIST),
        ({"propertyNames": {"pattern": "^a"}}, OBJECT),
        ({"not": {"required": ["b"]}}, OBJECT),
        ({"if": {"required": ["b"]}, "then": {"required": ["c"]}}, OBJECT),
        ({"dependentRequired": {"a": ["b"]}}, OBJECT),
        ({"unevaluatedProperties": False}, OBJECT),
    ],
)
def test_a_keyword_that_binds_is_kept_and_named(extra: dict[str, Any], base: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=next(iter(extra))):
        Grammar.json_schema(base | extra)


def test_names_and_values_that_look_like_keywords_stay() -> None:
    schema = {
        "type": "object",
        "properties": {"format": {"const": {"format": "x", "uniqueItems": False}}, "uniqueItems": {"enum": [False]}},
        "default": {"format": "odd"},
    }
    assert without_idle_keywords(schema) == schema
    assert without_idle_keywords({"format": "date"}) == {"format": "date"}
    assert without_idle_keywords(True) is True
