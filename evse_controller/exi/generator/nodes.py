"""What single nodes of a schema document say: names, bounds, numbers, and whether two say the same."""

from __future__ import annotations

from lxml import etree

from evse_controller.exi.generator.model import UNBOUNDED, QName, refused

_OF_ELEMENT = {
    *("abstract", "block", "default", "final", "fixed", "form", "id", "maxOccurs", "minOccurs", "name", "nillable"),
    *("ref", "substitutionGroup", "type"),
}


def check_attributes(node: etree._Element) -> None:
    unknown = sorted(str(key) for key in node.attrib if key not in _OF_ELEMENT and not str(key).startswith("{"))
    if unknown:
        raise refused(node, f"xs:element has no attribute {', '.join(unknown)}")


def local(node: etree._Element) -> str:
    return etree.QName(node).localname


def bounds_of(node: etree._Element) -> tuple[int, int]:
    low, high = node.get("minOccurs", "1"), node.get("maxOccurs", "1")
    if not low.isdecimal() or not (high == "unbounded" or (high.isdecimal() and int(high) >= int(low))):
        raise refused(node, f"bounds {low} to {high} are not supported")
    return int(low), UNBOUNDED if high == "unbounded" else int(high)


def same(one: etree._Element, other: etree._Element) -> bool:
    """Whether two declarations say the same, whatever their prefixes and annotations."""
    if one is other:
        return True

    def said(node: etree._Element) -> dict[str, object]:
        names = {key: resolve(node, str(node.get(key))) for key in ("type", "ref", "base", "substitutionGroup")
                 if node.get(key) is not None}
        return {**{str(key): str(value) for key, value in node.items()}, **names}

    parts = [[child for child in node if local(child) != "annotation"] for node in (one, other)]
    forms = [
        [node.getroottree().getroot().get(key, "unqualified") for key in ("elementFormDefault", "attributeFormDefault")]
        for node in (one, other)
    ]
    return (
        one.tag == other.tag and said(one) == said(other) and forms[0] == forms[1]
        and len(parts[0]) == len(parts[1]) and all(map(same, *parts))
    )


def number(facet: etree._Element) -> int:
    try:
        return int(str(facet.get("value")))
    except ValueError:
        raise refused(facet, f"facet {local(facet)} with value {facet.get('value')!r} is not supported") from None


def resolve(node: etree._Element, text: str) -> QName:
    prefix, _, local = text.rpartition(":")
    return QName(local, node.nsmap.get(prefix or None) or "")
