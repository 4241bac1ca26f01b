"""A page that shows messages for Slack roughly as Slack does, to look at them.

`python -m tests.testbed.blockpage FOLDER` writes pages of examples there: `slack.html`,
`digest.html`, `mail.html` and `mail-digest.html`. A browser without a window makes pictures:
`chromium --headless --no-sandbox --screenshot=slack.png --window-size=760,900 slack.html`.
"""

from __future__ import annotations

import re
import sys
from html import escape, unescape
from pathlib import Path
from typing import Any

_STYLE = """
body{margin:0;padding:20px;font:15px/1.46 Lato,Arial,sans-serif;color:#1d1c1d;background:#fff}
.message{max-width:640px;padding-left:46px;position:relative}
.face{position:absolute;left:0;top:2px;width:36px;height:36px;border-radius:4px;background:#3f51b5;
color:#fff;text-align:center;line-height:36px;font-weight:700}
.who{font-weight:900}.app{font-size:11px;background:#e8e8e8;border-radius:2px;padding:1px 3px;
color:#616061;margin:0 4px}.when{color:#616061;font-size:12px}
h3{font-size:18px;font-weight:700;margin:8px 0}.section{margin:8px 0 0}
.fields{display:flex;flex-wrap:wrap;margin-top:4px}.fields>div{width:50%;white-space:pre-wrap;
overflow-wrap:anywhere;padding-right:16px;box-sizing:border-box}
.context{font-size:13px;color:#616061;margin:4px 0;overflow-wrap:anywhere}
.sign{display:inline-block;width:15px;height:15px;border-radius:8px}.plain{white-space:pre-wrap;overflow-wrap:anywhere}
code{font:12px Menlo,Consolas,monospace;color:#e01e5a;background:#f8f8f8;border:1px solid #ddd;
border-radius:3px;padding:2px 3px;overflow-wrap:anywhere}
"""
_SIGNS = {"🔴": "#dd2e44", "🟠": "#f4900c", "🟢": "#78b159", "🔵": "#55acee", "⚪": "#ccd6dd"}
_CODE = re.compile(r"`([^`]*)`")


def page(messages: list[dict[str, Any]]) -> str:
    """Messages one below the other."""
    shown = "".join(
        '<div class="message"><div class="face">d</div><span class="who">driftd</span>'
        f'<span class="app">APP</span><span class="when">12:00</span>{_blocks(one)}</div>'
        for one in messages
    )
    return f'<!DOCTYPE html><meta charset="utf-8"><style>{_STYLE}</style>{shown}'


def _blocks(message: dict[str, Any]) -> str:
    return "".join(_block(block) for block in message["blocks"])


def _block(block: dict[str, Any]) -> str:
    if block["type"] == "header":
        return f"<h3>{_text(block['text'])}</h3>"
    if block["type"] == "context":
        inner = "".join(_text(one) for one in block["elements"])
        return f'<div class="context">{inner}</div>'
    fields = "".join(f"<div>{_text(one)}</div>" for one in block.get("fields", []))
    fields = f'<div class="fields">{fields}</div>' if fields else ""
    return f'<div class="section">{_text(block["text"])}{fields}</div>'


def _text(text: dict[str, Any]) -> str:
    """Slack turns its three escapes back before it shows a text."""
    shown = escape(unescape(text["text"]))
    for sign, colour in _SIGNS.items():
        shown = shown.replace(sign, f'<span class="sign" style="background:{colour}"></span>')
    if text["type"] == "mrkdwn":
        return _CODE.sub(r"<code>\1</code>", shown)
    return f'<span class="plain">{shown}</span>'


def main(folder: Path) -> None:
    """Write the examples."""
    from driftd.notify.blocks import message_of
    from driftd.notify.page import page as mail
    from driftd.notify.wording import told, told_of_digest
    from tests.unit.notify.messages import digest, example, recovered

    folder.mkdir(parents=True, exist_ok=True)
    shown = page([message_of(told(example())), message_of(told(recovered()))])
    (folder / "slack.html").write_text(shown, encoding="utf-8")
    many = page([message_of(told_of_digest(digest(40)))])
    (folder / "digest.html").write_text(many, encoding="utf-8")
    storm = mail(told_of_digest(digest(40)))
    (folder / "mail-digest.html").write_text(storm, encoding="utf-8")
    (folder / "mail.html").write_text(mail(told(example())), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
