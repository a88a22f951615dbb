"""Our JSON form against that of EXIficient's bridge in the package iso15118, on random messages of every schema.

For every message the bridge decodes our bytes to its JSON, which must be ours, and encodes our JSON, which must give
our bytes. Where the bridge loses or refuses something, the difference is written down here and held as well; whatever
else differs is a failure.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from evse_controller.messages import Message, Node, Schema, encode, from_json, to_json
from tests.campaign.exi_messages import MessageMaker, message_classes
from tests.campaign.exi_oracle import Unavailable, java_present, wheel_folder

FULL = 1_000
_JAR = "iso15118/shared/EXICodec.jar"
# Binary values inside KeyInfo make its JAXB look for these classes, which the package does not bring.
_MAIL = ("MimeMultipart", "MimeBodyPart")

# What the bridge loses or refuses (release 0.31.2):
# 1. Optional integers that its classes keep as primitive numbers: absent becomes 0, in the document too.
ZEROES = {
    "supportedAppProtocolRes": "SchemaID",
    "MeteringReceiptReq": "SAScheduleTupleID",
    "SalesTariff": "NumEPriceLevels",
    "SalesTariffEntry": "EPriceLevel",
}
# 2. DIN 70121: the attribute Id counts as a reference (IDREF) to an element that has to exist; all are refused.
# 3. DIN 70121: a SignatureValue without Id is plain text there, not an object with "value" as everywhere else.
# 4. Its precompiled grammars end long lists at their exact maximum wrongly, as if one more could follow, and refuse
#    what is right; measured for every list: those of 16 items or more in ISO 15118-2, of 255 or more in -20.
# 5. ACDP: its classes are in the wrong namespace, so it encodes nothing that ACDP's grammar knows.


class Bridge:
    """One Java process with the bridge."""

    def __init__(self) -> None:
        if not java_present() or shutil.which("javac") is None:
            raise Unavailable("the bridge needs java and javac on the PATH")
        jar = wheel_folder() / _JAR
        self._work = tempfile.TemporaryDirectory()
        work = Path(self._work.name)
        sources = [Path(__file__).with_name("JsonBridge.java")]
        for name in _MAIL:
            sources.append(work / f"{name}.java")
            sources[-1].write_text(f"package javax.mail.internet; public class {name} {{ }}")
        made = subprocess.run(["javac", "-nowarn", "-cp", str(jar), "-d", self._work.name, *map(str, sources)],
                              capture_output=True, text=True, check=False)
        if made.returncode:
            raise Unavailable(f"javac refuses the bridge: {made.stderr.strip()}")
        self._process = subprocess.Popen(
            ["java", "--add-opens", "java.base/java.lang=ALL-UNNAMED", "-Xmx512m", "-XX:TieredStopAtLevel=1",
             "-cp", f"{jar}{os.pathsep}{work}", "com.siemens.ct.exi.main.cmd.JsonBridge"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )

    def decode(self, schema: Schema, data: bytes) -> Any:
        """The bridge's JSON of an EXI document."""
        return json.loads(self._ask("decode", schema, data))

    def encode(self, schema: Schema, form: Any) -> bytes:
        """The bridge's EXI document of a JSON form."""
        return self._ask("encode", schema, json.dumps(form, ensure_ascii=False).encode())

    def _ask(self, command: str, schema: Schema, argument: bytes) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command} {schema.namespace} {argument.hex()}\n".encode())
        self._process.stdin.flush()
        status, _, answer = self._process.stdout.readline().decode().rstrip("\n").partition(" ")
        if status != "ok":
            raise RuntimeError(answer or "the Java process ended")
        return bytes.fromhex(answer)

    def close(self) -> None:
        """End the process and remove its files."""
        self._process.kill()
        self._process.communicate()
        self._work.cleanup()

    def __enter__(self) -> Bridge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def as_seen(form: Any, schema: Schema, name: str = "") -> Any:
    """A JSON form of ours as the bridge writes it: differences 1 and 3."""
    if isinstance(form, list):
        return [as_seen(item, schema, name) for item in form]
    if not isinstance(form, dict):
        return form
    if name == "SignatureValue" and schema is Schema.DIN70121 and form.keys() == {"value"}:
        return form["value"]
    seen = {key: as_seen(value, schema, key) for key, value in form.items()}
    if name in ZEROES:
        seen.setdefault(ZEROES[name], 0)
    return seen


def refused(message: Message) -> bool:
    """Whether the bridge cannot handle the message: differences 2 and 4."""
    if message.SCHEMA is Schema.DIN70121:
        return '"Id": ' in json.dumps(to_json(message))
    return _has_full_list(message, 16 if message.SCHEMA is Schema.ISO2 else 255)


def _has_full_list(node: Node, long: int) -> bool:
    for field in node.FIELDS:
        value = getattr(node, field.name)
        items = value if isinstance(value, list) else [value]
        if isinstance(value, list) and len(value) == field.high >= long:
            return True
        if any(isinstance(item, Node) and _has_full_list(item, long) for item in items):
            return True
    return False


def difference(bridge: Bridge, message: Message) -> str:
    """What differs beyond what is written down above, or nothing."""
    schema, data, form = message.SCHEMA, encode(message), to_json(message)
    seen = as_seen(form, schema)
    try:
        theirs = bridge.decode(schema, data)
        if from_json(schema, theirs) != (message if seen == form else from_json(schema, seen)):
            return f"their JSON is read as another message\n  {json.dumps(theirs)[:1000]}"
        bytes_of_ours = data if schema is Schema.ISO20_ACDP else bridge.encode(schema, form)
    except RuntimeError as error:
        return f"the bridge refuses: {error}\n  {json.dumps(form)[:1000]}"
    found = apart(theirs, seen)
    if found:
        return f"JSON differs at {found}\n  {json.dumps(form)[:1000]}"
    if bytes_of_ours != data and seen == form:
        theirs_hex, ours_hex = bytes_of_ours.hex()[:400], data.hex()[:400]
        return f"EXI of our JSON differs:\n  theirs {theirs_hex}\n  ours   {ours_hex}\n  {json.dumps(form)[:1000]}"
    return ""


def apart(theirs: Any, ours: Any, path: str = "") -> str:
    """Where two JSON forms differ first, and how; nothing if they do not."""
    if isinstance(theirs, dict) and isinstance(ours, dict) and theirs.keys() == ours.keys():
        return next(filter(None, (apart(theirs[key], ours[key], f"{path}/{key}") for key in theirs)), "")
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        pairs = enumerate(zip(theirs, ours, strict=True))
        return next(filter(None, (apart(one, other, f"{path}[{n}]") for n, (one, other) in pairs)), "")
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return f"{path}: theirs alone has {theirs.keys() - ours.keys()}, ours alone {ours.keys() - theirs.keys()}"
    return "" if theirs == ours else f"{path}: theirs {theirs!r}, ours {ours!r}"


def roots(schema: Schema) -> list[type[Message]]:
    """The elements that the bridge takes as documents: V2G_Message of DIN and -2, every message of -20 and SAP."""
    one_for_all = schema in (Schema.DIN70121, Schema.ISO2)
    names = r"V2G_Message" if one_for_all else r".*Re[qs]"
    return [cls for cls in message_classes(schema) if cls.SCHEMA is schema and re.fullmatch(names, cls.ELEMENT)]


def messages(count: int, seed: int) -> Iterator[Message]:
    """Random messages, spread evenly over the elements, and in DIN and -2 over the bodies."""
    classes = [cls for schema in Schema for cls in roots(schema)]
    classes += [cls for cls in classes if cls.ELEMENT == "V2G_Message"] * 30
    maker = MessageMaker(seed)
    for number in range(max(count, len(classes))):
        yield maker.make(classes[number % len(classes)])


def run(scale: float, seed: int) -> int:
    """The campaign; the number of messages compared."""
    if not java_present():
        print("json_bridge: no Java here, only our own JSON is read back")
        made = list(messages(int(FULL * scale), seed))
        assert all(from_json(m.SCHEMA, json.loads(json.dumps(to_json(m)))) == m for m in made)
        return len(made)
    problems, compared, beyond = [], 0, Counter[str]()
    with Bridge() as bridge:
        for message in messages(int(FULL * scale), seed):
            if refused(message):
                beyond[message.SCHEMA.name] += 1
                continue
            compared += 1
            problem = difference(bridge, message)
            if problem:
                problems.append(f"{type(message).__name__}: {problem}")
    if problems:
        raise AssertionError("\n".join([f"{len(problems)} of {compared} messages differ", *problems[:10]]))
    print(f"json_bridge: {compared} messages alike; {dict(beyond)} more are beyond the bridge")
    return compared
