"""Events as msgspec Structs, generated from the pydantic models: field for field, bound for bound.

In: the models of streamgauge.contracts.events. Out: a Struct per type; a slim Struct of requests
with the fields that are asked for; a pydantic event as a Struct.
Not here: decoding (decode.py).
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Union

import msgspec
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from streamgauge.contracts.events import EVENT_TYPES, Judgement, UnknownEvent

_REQUEST_TYPE: Final = "llm.request"


def _constraints(metadata: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in metadata:
        if isinstance(item, FieldInfo):
            found |= _constraints(item.metadata)
            continue
        for theirs, ours in (("ge", "ge"), ("gt", "gt"), ("le", "le"), ("lt", "lt")):
            if getattr(item, theirs, None) is not None:
                found[ours] = getattr(item, theirs)
        for name in ("min_length", "max_length"):
            if getattr(item, name, None) is not None:
                found[name] = getattr(item, name)
    return found


@functools.cache
def _nested(model: type[BaseModel]) -> type[msgspec.Struct]:
    return _struct(model, tag=None)


def _plain(annotation: Any) -> Any:
    """A pydantic annotation as msgspec understands it."""
    origin = typing.get_origin(annotation)
    args = typing.get_args(annotation)
    if origin is Annotated:
        inner, constraints = _plain(args[0]), _constraints(args[1:])
        return Annotated[inner, msgspec.Meta(**constraints)] if constraints else inner
    if origin in (Union, types.UnionType):
        return Union[tuple(_plain(a) for a in args)]  # noqa: UP007  # built at run time
    if origin is dict:
        return dict[_plain(args[0]), _plain(args[1])]  # type: ignore[misc]
    if origin is tuple:
        return tuple[_plain(args[0]), ...]  # type: ignore[misc]
    if origin is Literal:
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _nested(annotation)
    return annotation


def _field(info: FieldInfo) -> Any:
    inner = _plain(info.annotation)
    constraints = _constraints(info.metadata)
    return Annotated[inner, msgspec.Meta(**constraints)] if constraints else inner


def _struct(
    model: type[BaseModel], *, tag: str | None, only: Container[str] | None = None
) -> type[msgspec.Struct]:
    """The Struct of a model. With `only`: of these fields; it refuses any other key."""
    required, optional = [], []
    namespace: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        if tag is not None and name == "type":
            continue
        if only is not None and name not in only:
            namespace[name] = info.default  # an attribute of the class: reads as absent
        elif info.is_required():
            required.append((name, _field(info)))
        else:
            optional.append((name, _field(info), info.default))
    if issubclass(model, Judgement):
        namespace["__post_init__"] = _points_and_says
    return msgspec.defstruct(
        model.__name__,
        [*required, *optional],
        kw_only=True,
        frozen=False,
        gc=False,
        forbid_unknown_fields=only is not None,
        tag_field="type" if tag is not None else None,
        tag=tag,
        module=__name__,
        namespace=namespace,
    )


def _points_and_says(event: Any) -> None:
    """A judgement without target or verdict: the reference parser names the reason."""
    if event.target_id is None and event.response_id is None and event.trace_id is None:
        raise ValueError("no target")
    if event.value is None and event.label is None:
        raise ValueError("no verdict")


STRUCTS: Final[Mapping[str, type[msgspec.Struct]]] = {
    kind: _struct(model, tag=kind) for kind, model in EVENT_TYPES.items()
}
"""One Struct per event type. Fields as in streamgauge.contracts.events; `type` is the tag."""
UNKNOWN: Final = _struct(UnknownEvent, tag=None)
"""The envelope of an event of another type; has a field `type`."""
REQUEST: Final = STRUCTS[_REQUEST_TYPE]

REQUEST_FIELDS: Final = frozenset(EVENT_TYPES[_REQUEST_TYPE].model_fields)
"""All fields of a request, `type` among them."""
LEAST_FIELDS: Final = frozenset(
    name
    for name, info in EVENT_TYPES[_REQUEST_TYPE].model_fields.items()
    if info.is_required() or info.default is not None  # absent is not unknown
)
"""Those that a slim Struct must have."""


def slim_request(fields: Container[str], extra: Iterable[str]) -> type[msgspec.Struct]:
    """A Struct of requests with these fields (LEAST_FIELDS and more); it refuses other keys.

    Fields that it lacks read as None and cannot be set. extra: keys of no field that it also takes.
    """
    slim = _struct(EVENT_TYPES[_REQUEST_TYPE], tag=_REQUEST_TYPE, only=fields)
    more = [
        (f"extra_{i}", msgspec.Raw, msgspec.field(name=key, default=msgspec.Raw()))
        for i, key in enumerate(extra)
    ]
    if not more:
        return slim
    return msgspec.defstruct(
        "Extended", more, bases=(slim,), kw_only=True, frozen=False, gc=False,
        forbid_unknown_fields=True, tag_field="type", tag=_REQUEST_TYPE, module=__name__,
    )  # fmt: skip


def kind_of(event: msgspec.Struct) -> str:
    """Type of an event, `llm.request` and so on."""
    tag = event.__struct_config__.tag
    return str(tag) if tag is not None else str(event.type)  # type: ignore[attr-defined]


def to_struct(event: BaseModel) -> msgspec.Struct:
    """A pydantic event as its Struct."""
    kind = getattr(event, "type", None)
    target = STRUCTS.get(kind, UNKNOWN) if isinstance(kind, str) else UNKNOWN
    return _convert(event, target)


def _convert(model: BaseModel, target: type[msgspec.Struct]) -> msgspec.Struct:
    return target(**{name: _value(getattr(model, name)) for name in target.__struct_fields__})


def _value(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _convert(value, _nested(type(value)))
    if isinstance(value, tuple):
        return tuple(_value(v) for v in value)
    return value
