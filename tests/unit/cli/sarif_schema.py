"""What the SARIF 2.1.0 specification says of the properties that driftd writes.

Every object is closed: a property that the specification does not know, or that is not listed
here, is refused.
"""

TEXT = {"type": "string", "minLength": 1}
INDEX = {"type": "integer", "minimum": 0}
BAG = {"type": "object"}


def closed(properties, *required):
    """An object with these properties alone."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def listed(items):
    """A list of such items."""
    return {"type": "array", "items": items}


LEVEL = {"enum": ["none", "note", "warning", "error"]}
MESSAGE = closed({"text": TEXT, "markdown": TEXT}, "text")
LOGICAL = closed(
    {
        "name": TEXT,
        "fullyQualifiedName": TEXT,
        "kind": TEXT,
        "index": INDEX,
        "parentIndex": INDEX,
    },
    "name",
    "fullyQualifiedName",
)
ARTIFACT = closed({"uri": {"type": "string", "format": "uri-reference"}, "uriBaseId": TEXT}, "uri")
REGION = closed({"startLine": {"type": "integer", "minimum": 1}}, "startLine")
PHYSICAL = closed({"artifactLocation": ARTIFACT, "region": REGION}, "artifactLocation")
LOCATION = closed({"physicalLocation": PHYSICAL, "logicalLocations": listed(LOGICAL)})
RULE = closed(
    {
        "id": TEXT,
        "name": {"type": "string", "pattern": "^([A-Z][a-z]+)+$"},
        "shortDescription": MESSAGE,
        "fullDescription": MESSAGE,
        "help": MESSAGE,
        "defaultConfiguration": closed({"level": LEVEL}),
        "properties": closed({"tags": {**listed(TEXT), "uniqueItems": True}}),
    },
    "id",
    "shortDescription",
    "fullDescription",
    "help",
)
DRIVER = closed(
    {
        "name": TEXT,
        "version": TEXT,
        "semanticVersion": {"type": "string", "pattern": r"^\d+\.\d+\.\d+"},
        "rules": {**listed(RULE), "uniqueItems": True},
        "notifications": {
            **listed(closed({"id": TEXT, "shortDescription": MESSAGE}, "id")),
            "uniqueItems": True,
        },
    },
    "name",
)
NOTIFICATION = closed(
    {
        "descriptor": closed({"id": TEXT}, "id"),
        "level": LEVEL,
        "message": MESSAGE,
        "locations": listed(LOCATION),
        "properties": BAG,
    },
    "message",
)
INVOCATION = closed(
    {
        "executionSuccessful": {"type": "boolean"},
        "endTimeUtc": {"type": "string", "format": "date-time"},
        "toolExecutionNotifications": listed(NOTIFICATION),
    },
    "executionSuccessful",
)
RESULT = closed(
    {
        "ruleId": TEXT,
        "ruleIndex": INDEX,
        "kind": {"enum": ["pass", "open", "informational", "notApplicable", "review", "fail"]},
        "level": LEVEL,
        "message": MESSAGE,
        "locations": {**listed(LOCATION), "minItems": 1, "maxItems": 1},
        "partialFingerprints": {"type": "object", "additionalProperties": TEXT},
        "suppressions": listed(
            closed({"kind": {"enum": ["inSource", "external"]}, "justification": TEXT}, "kind")
        ),
        "properties": BAG,
    },
    "message",
)
PROVENANCE = closed(
    {
        "repositoryUri": {"type": "string", "format": "uri"},
        "revisionId": TEXT,
        "mappedTo": closed({"uriBaseId": TEXT}),
    },
    "repositoryUri",
)
RUN = closed(
    {
        "tool": closed({"driver": DRIVER}, "driver"),
        "invocations": listed(INVOCATION),
        "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
        "originalUriBaseIds": {
            "type": "object",
            "additionalProperties": closed({"description": MESSAGE}),
        },
        "logicalLocations": {**listed(LOGICAL), "uniqueItems": True},
        "versionControlProvenance": {**listed(PROVENANCE), "uniqueItems": True},
        "results": listed(RESULT),
    },
    "tool",
)
SCHEMA = closed(
    {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": listed(RUN),
    },
    "version",
    "runs",
)
