"""Names of the generated code: modules, classes, attributes and enumeration members."""

from __future__ import annotations

import builtins
import keyword
import re
from enum import IntEnum

from lxml import etree

from evse_controller.exi.generator.model import QName, refused

# Abbreviations that count as one word although their letters would be split otherwise.
_WORDS = (
    *("EVSEID", "EVCCID", "EVSE", "EVCC", "SECC", "V2X", "PnC", "AReq", "ARes", "ASRes", "EIM", "SOC", "BPT"),
    *("VARh", "EVPPT", "EVPC", "RESS", "SoC"),
)
_SPLIT = re.compile("|".join((*_WORDS, "IDs", "EV(?![a-z])", "[A-Z]+(?=[A-Z][a-z])", "[A-Z]?[a-z0-9]+", "[A-Z0-9]+")))

# Names that a plain reading of capitals gets wrong.
_SPECIAL = {
    "DHpublickey": "dh_publickey",
    "EMAIDs": "emaids",
    "eMAID": "emaid",
    "PrioritizedEMAIDs": "prioritized_emaids",
    "CLReqControlMode": "cl_req_control_mode",
    "CLResControlMode": "cl_res_control_mode",
}

# Where the names come from that generated code may use; only those that it does use are imported.
RUNTIME = {
    "evse_controller.exi.bits": (
        "PART", "Window", "join", "put_binary", "put_integer", "put_string", "put_uint", "read_binary",
        "read_characters", "read_empty", "read_integer", "read_more", "read_octets", "read_string",
    ),
    "evse_controller.exi.errors": (
        "ExiError", "count_set", "invalid", "out_of_range", "unexpected", "within", "wrong_choice",
    ),
    "evse_controller.exi.leniency": ("full_list_end", "outside"),
    "evse_controller.exi.irregular": ("Names", "Reader", "Writer", "decode_states", "encode_states"),
    "evse_controller.messages.base": (
        "UNBOUNDED", "Field", "FragmentCoders", "Kind", "Message", "Node", "RootDecoders", "RootEncoders", "Schema",
    ),
}
_IMPORTED = {name for names in RUNTIME.values() for name in names}

# Names that the generated coders use themselves: their variables, what they call, and what every message has.
# `type` is missing because the signature schema has it; `grammar` sees to it.
TAKEN = _IMPORTED | {
    *("at", "b", "base", "c", "chosen", "e", "error", "i", "m", "n", "need", "one", "parts", "position", "s", "self"),
    *("v", "values", "w", "whole", "window", "x"),
    *("bool", "bytes", "enumerate", "int", "len", "list", "str", "tuple"),
    *("_", "annotations", "deviations"),
}

# Names that no class of a module may have: what the module imports, builtins, and its own tables.
_NO_CLASS = _IMPORTED | set(dir(builtins)) | {
    *("_", "IntEnum", "SCHEMA_SET", "DOCUMENT_BITS", "ROOT_DECODERS", "ROOT_ENCODERS"),
    *("FRAGMENT_BITS", "FRAGMENT_END", "FRAGMENT_CODERS"),
}
# Names that mean something else in an enumeration.
_NO_MEMBER = {name for name in dir(IntEnum) if not name.startswith("_")} | {
    *dir(int), "mro", "name", "value", "SCHEMA_VALUES",
}


def snake(name: str) -> str:
    """The attribute name of a schema element or attribute: EVTargetCurrent -> ev_target_current."""
    if name in _SPECIAL:
        return _SPECIAL[name]
    words = [word.lower() for part in name.split("_") for word in _SPLIT.findall(part)]
    result = "_".join(words)
    return result + "_" if keyword.iskeyword(result) or result in TAKEN else result


def class_name(name: str) -> str:
    """The class name of a schema type: DC_ChargeLoopReqType -> DC_ChargeLoopReq, processingType -> Processing."""
    stem = name.removesuffix("Type") or name
    return stem[0].upper() + stem[1:]


def is_class_name(name: str) -> bool:
    """Whether a class can have the name without hiding one that the module needs."""
    return name.isidentifier() and not keyword.iskeyword(name) and name not in _NO_CLASS


def member_name(value: str) -> str:
    """The enumeration member name of a schema value."""
    result = re.sub(r"\W", "_", value)
    if result[:1].isdigit():
        result = "_" + result
    return result + "_" if keyword.iskeyword(result) or result in _NO_MEMBER else result


def is_member_name(name: str) -> bool:
    """Whether an enumeration takes the name for a member: not one of those that it keeps for itself."""
    return name.isidentifier() and not name.startswith("__") and not (name[0] == "_" and name[-1] == "_")


def check_values(node: etree._Element, name: QName, values: list[str]) -> None:
    """Refuse values that would be no members of the enumeration, or one member."""
    members = [member_name(value) for value in values]
    for value, member in zip(values, members, strict=True):
        if not is_member_name(member) or not value.isprintable() or '"' in value or "\\" in value:
            raise refused(node, f"simple type {name.local}: value {value!r} cannot become a member of an enumeration")
        if members.count(member) > 1:
            raise refused(node, f"simple type {name.local}: several values would become member {member}")
