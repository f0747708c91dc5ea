"""What classes and objects of the app hold, read without running any code of theirs.

Attribute access asks metaclasses, properties and `__getattr__`, which may block or raise anything,
SystemExit too. Here everything goes through the slots of `type` and the dictionaries themselves.
"""

from __future__ import annotations

import sys
from types import GetSetDescriptorType, MemberDescriptorType, ModuleType

_name = type.__dict__["__name__"].__get__
_mro = type.__dict__["__mro__"].__get__
_dict = type.__dict__["__dict__"].__get__


def name_of(kind: type) -> str:
    """Name of a class, whatever its metaclass says."""
    name: str = _name(kind)
    return name


def ancestors(kind: type) -> tuple[type, ...]:
    """The class itself and its bases, in the order of resolution."""
    mro: tuple[type, ...] = _mro(kind)
    return mro


def is_class(kind: type, module: str, *names: str) -> bool:
    """Is it one of these classes of an imported module? A class that only looks so is not."""
    found = sys.modules.get(module)
    return type(found) is ModuleType and any(found.__dict__.get(n) is kind for n in names)


def held(thing: object, name: str) -> object:
    """What the object, or else its class, simply has under this name; None for all else.

    Properties and other things that are computed are None.
    """
    fields = _entry(thing, "__dict__")
    if type(fields) is GetSetDescriptorType:
        values = fields.__get__(thing, type(thing))
        if type(values) is dict and name in values:
            return values[name]
    entry = _entry(thing, name)
    if type(entry) is MemberDescriptorType:  # of __slots__
        try:
            return entry.__get__(thing, type(thing))
        except AttributeError:
            return None
    return entry


def _entry(thing: object, name: str) -> object:
    for base in ancestors(type(thing)):
        namespace = _dict(base)
        if name in namespace:
            return namespace[name]
    return None
