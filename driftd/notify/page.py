"""A message as HTML for mail programs: tables and inline styles, since these know little else."""

from __future__ import annotations

from html import escape
from typing import Final

from driftd.notify.wording import Line, Told, Tone

_COLOURS: Final = {
    Tone.BAD: "#c62828",
    Tone.GOOD: "#2e7d32",
    Tone.BLIND: "#616161",
    Tone.INFO: "#1565c0",
}
_FONT: Final = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_CODE: Final = (
    "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px;"
    "overflow-wrap:anywhere;word-break:break-word"
)
_SUBTLE: Final = "color:#5f6368;font-size:12px"


def page(told: Told) -> str:
    """The document; everything in it that comes from a message is escaped."""
    colour = _COLOURS[told.tone]
    if told.own is not None:
        body = "".join(f'<p style="margin:0 0 8px">{escape(line)}</p>' for line in told.own)
    else:
        lines = _list(told.lines) if told.brief else "".join(map(_line, told.lines))
        body = lines + _rest(told)
    facts = "".join(
        f'<tr><td style="padding:1px 12px 1px 0;{_SUBTLE}">{escape(label)}</td>'
        f'<td style="padding:1px 0;{_SUBTLE};overflow-wrap:anywhere">{escape(value)}</td></tr>'
        for label, value in told.facts
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(told.headline)}</title></head>\n"
        f'<body style="margin:0;padding:16px;background:#f6f7f9;{_FONT}">\n'
        '<table role="presentation" cellpadding="0" cellspacing="0" align="center" width="100%"'
        ' style="max-width:680px;background:#ffffff;border:1px solid #e0e3e7;border-radius:6px">\n'
        f'<tr><td style="padding:16px 20px;border-top:4px solid {colour};border-radius:6px;'
        f'font-size:17px;font-weight:600;color:#1f2328;overflow-wrap:anywhere">'
        f"{escape(told.headline)}</td></tr>\n"
        f'<tr><td style="padding:0 20px 8px;font-size:14px;color:#1f2328">{body}</td></tr>\n'
        f'<tr><td style="padding:12px 20px 16px;border-top:1px solid #e0e3e7">'
        f'<table role="presentation" cellpadding="0" cellspacing="0">{facts}</table></td></tr>\n'
        "</table></body></html>\n"
    )


def _list(lines: tuple[Line, ...]) -> str:
    """Lines of a list, one beneath the other."""
    return "".join(
        f'<div style="padding:6px 0;border-top:1px solid #eef0f2;overflow-wrap:anywhere">'
        f"<b>{escape(line.what)}</b> {escape(line.said)}"
        f' <span style="{_SUBTLE}">{escape(line.byline)}</span></div>'
        for line in lines
    )


def _line(line: Line) -> str:
    path = f'<div style="{_CODE};color:#1f2328">{escape(line.path)}</div>' if line.path else ""
    if line.said:
        change = f"<div>{escape(line.said)}</div>"
    else:
        change = (
            f'<table role="presentation" cellpadding="0" cellspacing="0" style="margin:4px 0">'
            f"{_value('Git', line.desired, '#e6f4ea')}{_value('Cluster', line.live, '#fce8e6')}"
            "</table>"
        )
    by = f'<div style="{_SUBTLE}">{escape(line.byline)}</div>' if line.byline else ""
    return (
        '<div style="padding:10px 0;border-top:1px solid #eef0f2">'
        f'<div style="font-weight:600">{escape(line.what)}</div>{path}{change}{by}</div>'
    )


def _value(label: str, value: str, colour: str) -> str:
    return (
        f'<tr><td style="padding:2px 10px 2px 0;{_SUBTLE}">{label}</td>'
        f'<td style="padding:2px 6px;background:{colour};{_CODE}">{escape(value)}</td></tr>'
    )


def _rest(told: Told) -> str:
    found = []
    if told.hidden > 0:
        found.append(f'<p style="margin:8px 0;{_SUBTLE}">… and {told.hidden} more</p>')
    if told.reasons:
        items = "".join(
            f'<li style="overflow-wrap:anywhere">{escape(one)}</li>' for one in told.reasons
        )
        found.append(f'<ul style="margin:8px 0;padding-left:20px">{items}</ul>')
    found += [
        f'<p style="margin:8px 0;{_SUBTLE};overflow-wrap:anywhere">{escape(note)}</p>'
        for note in told.notes
    ]
    return "".join(found)
