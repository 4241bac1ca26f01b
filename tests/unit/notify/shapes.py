"""What receivers accept, as far as their documentation bounds it: schemas of our own."""

from __future__ import annotations

from typing import Any

import jsonschema_rs


def text(limit: int, least: int = 1) -> dict[str, Any]:
    """Text of bounded length."""
    return {"type": "string", "minLength": least, "maxLength": limit}


def closed(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """An object with these members and no other."""
    return {
        "type": "object",
        "required": list(required),
        "properties": required | (optional or {}),
        "additionalProperties": False,
    }


def plain(limit: int) -> dict[str, Any]:
    """Block Kit's text without formatting."""
    return closed(
        {"type": {"const": "plain_text"}, "text": text(limit)}, {"emoji": {"type": "boolean"}}
    )


def mrkdwn(limit: int) -> dict[str, Any]:
    """Block Kit's text with formatting."""
    return closed({"type": {"const": "mrkdwn"}, "text": text(limit)})


HEADER = closed({"type": {"const": "header"}, "text": plain(150)})
SECTION = closed(
    {"type": {"const": "section"}, "text": {"anyOf": [plain(3000), mrkdwn(3000)]}},
    {"fields": {"type": "array", "minItems": 1, "maxItems": 10, "items": plain(2000)}},
)
CONTEXT = closed(
    {
        "type": {"const": "context"},
        "elements": {"type": "array", "minItems": 1, "maxItems": 10, "items": plain(2000)},
    }
)
BLOCKS = {
    "type": "array",
    "minItems": 1,
    "maxItems": 50,
    "items": {"anyOf": [HEADER, SECTION, CONTEXT]},
}
SLACK = closed({"text": text(3000), "blocks": BLOCKS})
SLACK_APP = closed(
    {
        "text": text(3000),
        "blocks": BLOCKS,
        "channel": text(80),
        "unfurl_links": {"const": False},
        "unfurl_media": {"const": False},
    },
    {"thread_ts": {"type": "string", "pattern": r"^\d+\.\d+$"}},
)

RUN = closed(
    {"type": {"const": "TextRun"}, "text": text(28_000)},
    {
        "weight": {"const": "Bolder"},
        "size": {"enum": ["Small", "Medium"]},
        "isSubtle": {"type": "boolean"},
        "fontType": {"const": "Monospace"},
    },
)
RICH = closed(
    {
        "type": {"const": "RichTextBlock"},
        "inlines": {"type": "array", "minItems": 1, "items": RUN},
    },
    {"spacing": {"const": "None"}},
)
CONTAINER = closed(
    {"type": {"const": "Container"}, "items": {"type": "array", "minItems": 1, "items": RICH}},
    {
        "style": {"enum": ["attention", "good", "warning", "accent"]},
        "bleed": {"type": "boolean"},
        "separator": {"type": "boolean"},
    },
)
CARD = closed(
    {
        "type": {"const": "AdaptiveCard"},
        "$schema": {"type": "string"},
        "version": {"const": "1.4"},
        "msteams": closed({"width": {"const": "Full"}}),
        "body": {"type": "array", "minItems": 2, "items": {"anyOf": [RICH, CONTAINER]}},
    }
)
TEAMS = closed(
    {
        "type": {"const": "message"},
        "attachments": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": closed(
                {
                    "contentType": {"const": "application/vnd.microsoft.card.adaptive"},
                    "contentUrl": {"type": "null"},
                    "content": CARD,
                }
            ),
        },
    }
)

PAGERDUTY = closed(
    {
        "routing_key": text(32, 32),
        "event_action": {"enum": ["trigger", "resolve"]},
        "dedup_key": text(255),
        "client": {"const": "driftd"},
        "payload": closed(
            {
                "summary": text(1024),
                "source": text(10_000),
                "severity": {"enum": ["critical", "error", "warning", "info"]},
                "timestamp": {"type": "string", "format": "date-time"},
                "class": text(100),
                "custom_details": {"type": "object"},
            },
            {"component": text(10_000), "group": text(10_000)},
        ),
    }
)

OPSGENIE = closed(
    {
        "message": text(130),
        "alias": text(512),
        "description": text(15_000, 0),
        "source": text(100),
        "priority": {"enum": ["P1", "P2", "P3", "P4", "P5"]},
        "tags": {"type": "array", "maxItems": 20, "items": text(50)},
    },
    {
        "entity": text(512),
        "details": {"type": "object", "additionalProperties": text(8000)},
        "responders": {
            "type": "array",
            "maxItems": 50,
            "items": closed({"type": {"const": "team"}, "name": text(100)}),
        },
    },
)
OPSGENIE_CLOSE = closed({"source": text(100), "note": text(25_000)})

GITHUB = closed(
    {
        "state": {"enum": ["success", "failure", "error", "pending"]},
        "description": text(140),
        "context": text(255),
    }
)

LABEL = {"type": "object", "additionalProperties": text(10_000), "required": ["alertname"]}
ALERTS = {
    "type": "array",
    "minItems": 1,
    "items": closed(
        {
            "labels": LABEL | {"propertyNames": {"pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"}},
            "annotations": closed({"summary": text(10_000), "description": text(10_000, 0)}),
            "startsAt": {"type": "string", "format": "date-time"},
            "endsAt": {"type": "string", "format": "date-time"},
        }
    ),
}

EVENT = closed(
    {
        "specversion": {"const": "1.0"},
        "id": text(100),
        "source": text(2000),
        "type": {"type": "string", "pattern": r"^io\.driftd\.(application\.[a-z-]+|digest)$"},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "data": {"type": "object", "required": ["apiVersion", "kind", "id"]},
    },
    {"subject": text(2000)},
)


def fits(found: Any, schema: dict[str, Any]) -> None:
    """Raise unless a document has the shape."""
    jsonschema_rs.Draft202012Validator(schema, validate_formats=True).validate(found)
