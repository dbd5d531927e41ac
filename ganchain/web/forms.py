"""Forms (multipart) that visitors send: each field once, and no field that does nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.exceptions import HTTPException
from starlette.datastructures import FormData, UploadFile

from ganchain.errors import available, shown

FILE = {"type": "string", "format": "binary"}


def described(**fields: dict[str, Any]) -> dict[str, Any]:
    """Describe for OpenAPI a form with these fields, given as JSON schema; those without "default" are needed."""
    needed = [name for name, shape in fields.items() if "default" not in shape]
    schema = {"type": "object", "properties": fields, "required": needed}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def file(form: FormData, name: str, known: Sequence[str]) -> UploadFile:
    """Return the only file in the field ``name`` of a form that has only the fields ``known``.

    Raises:
        HTTPException: it is missing, no file, or not the only one; or there is another field.
    """
    value = only(form, name, known)
    if not isinstance(value, UploadFile):
        raise HTTPException(422, f"{name}: a file is needed in this field")
    return value


def only(form: FormData, name: str, known: Sequence[str]) -> UploadFile | str | None:
    """Return the only value of the field ``name``, or None, of a form that has only the fields ``known``.

    Raises:
        HTTPException: it has several values, or there is another field.
    """
    for field in form:
        if field not in known:
            raise HTTPException(422, f"no field {shown(field)}; {available(field, known)}")
    values = form.getlist(name)
    if len(values) > 1:
        raise HTTPException(422, f"{name}: there are {len(values)} of this field; one is taken in a request")
    return values[0] if values else None
