"""Names of the generated code: modules, classes, attributes and enumeration members."""

from __future__ import annotations

import keyword
import re

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

# Names that the generated coders use themselves.
_TAKEN = {
    *("at", "b", "base", "c", "chosen", "e", "error", "i", "m", "n", "one", "parts", "position", "s", "self", "v"),
    *("values", "w", "whole", "window", "x"),
}


def snake(name: str) -> str:
    """The attribute name of a schema element or attribute: EVTargetCurrent -> ev_target_current."""
    if name in _SPECIAL:
        return _SPECIAL[name]
    words = [word.lower() for part in name.split("_") for word in _SPLIT.findall(part)]
    result = "_".join(words)
    return result + "_" if keyword.iskeyword(result) or result in _TAKEN else result


def class_name(name: str) -> str:
    """The class name of a schema type: DC_ChargeLoopReqType -> DC_ChargeLoopReq, processingType -> Processing."""
    stem = name.removesuffix("Type") or name
    return stem[0].upper() + stem[1:]


def member_name(value: str) -> str:
    """The enumeration member name of a schema value."""
    result = re.sub(r"\W", "_", value)
    if result[:1].isdigit():
        result = "_" + result
    return result + "_" if keyword.iskeyword(result) else result
