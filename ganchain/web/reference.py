"""The page that lists the addresses of the API, made from its OpenAPI; it needs no network and no script."""

from __future__ import annotations

from collections.abc import Container
from html import escape
from typing import Any

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ganchain: the API</title>
<link rel="icon" href="/icon.svg">
<link rel="stylesheet" href="/style.css">
</head>
<body>
<header>
  <h1><img src="/icon.svg" alt="" width="28" height="28"> ganchain {version}: the API</h1>
  <p><a href="/">The page</a> uses it; <a href="/openapi.json">openapi.json</a> describes it for programs.</p>
</header>
<main class="reference">
{operations}
<section><h2>Errors of any address</h2>
<dl>
{errors}
</dl>
</section>
<section><h2>Models</h2>
<dl>
{models}
</dl>
</section>
</main>
</body>
</html>
"""
OPERATION = """\
<section aria-label="{method} {path}">
<h2><code>{method} {path}</code></h2>
<p>{about}</p>
<dl>
{rows}
</dl>
</section>"""


def html(openapi: dict[str, Any]) -> str:
    """Write the page for a description in OpenAPI."""
    listed = [
        (method.upper(), path, operation)
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]
    answers = [operation["responses"] for _, _, operation in listed]
    common = {status: answer for status, answer in answers[0].items() if all(status in each for each in answers)}
    operations = [
        OPERATION.format(
            method=method, path=escape(path), about=escape(operation["description"]), rows=_rows(operation, common)
        )
        for method, path, operation in listed
    ]
    errors = (_row(status, answer["description"]) for status, answer in common.items())
    models = (
        _row(name, ", ".join(f"{field}: {_kind(shape)}" for field, shape in model.get("properties", {}).items()))
        for name, model in openapi["components"]["schemas"].items()
    )
    return PAGE.format(
        version=escape(openapi["info"]["version"]),
        operations="\n".join(operations),
        errors="\n".join(errors),
        models="\n".join(models),
    )


def _rows(operation: dict[str, Any], common: Container[str]) -> str:
    """Write what an operation takes, and what it answers by status, without the statuses in ``common``."""
    rows = [_row("takes", _content(operation["requestBody"]))] if "requestBody" in operation else []
    for status, answer in operation["responses"].items():
        if status not in common:
            rows.append(_row(status, _content(answer) if status == "200" else answer["description"]))
    return "\n".join(rows)


def _row(term: str, text: str) -> str:
    return f"<dt><code>{escape(term)}</code></dt><dd>{escape(text)}</dd>"


def _content(described: dict[str, Any]) -> str:
    """Name the media types of a body, with the model or the fields of each."""
    kinds = []
    for media, content in described.get("content", {}).items():
        shape = _kind(content.get("schema", {}))
        kinds.append(f"{media} ({shape})" if shape else media)
    return "; ".join(kinds)


def _kind(shape: dict[str, Any]) -> str:
    """Name the type of a JSON schema in a few words."""
    if "$ref" in shape:
        return str(shape["$ref"]).rpartition("/")[2]
    if "anyOf" in shape:
        return " or ".join(_kind(part) for part in shape["anyOf"])
    if shape.get("type") == "array":
        return f"list of {_kind(shape['items'])}"
    if "properties" in shape:
        return ", ".join(shape["properties"])
    return str(shape.get("format") or shape.get("type", ""))
