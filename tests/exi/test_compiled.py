"""The compiled coders give what the pure ones give, or nothing; built here if Cython and a C compiler are at hand."""

import importlib.util
import os
import random
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evse_controller.messages import ExiError, Message, Schema, decode, encode
from evse_controller.messages import codec as codec_module
from evse_controller.messages.backend import DISTRIBUTION, CompiledCoders, compiled_coders
from evse_controller.messages.base import Node
from evse_controller.messages.codec import coders
from evse_controller.messages.generated.common_messages import SessionSetupReq, SessionStopRes
from evse_controller.messages.generated.common_types import MessageHeader, ResponseCode
from evse_controller.messages.generated.xmldsig import X509IssuerSerial
from tests.campaign.exi_messages import SCHEMAS, MessageMaker, message_classes
from tests.campaign.exi_vectors import read_vectors
from tests.messages.test_decoding_is_total import profile
from tests.messages.test_encoding_is_strict import CASES

SOURCE = Path(__file__).resolve().parents[2] / "deploy" / "compiled"
HEADER = MessageHeader(session_id=bytes(8), time_stamp=2**63)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the compiled distribution: where it is installed, else built here."""
    installed = importlib.util.find_spec(DISTRIBUTION)
    if installed is not None and installed.origin is not None:
        return Path(installed.origin).parent.parent
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if importlib.util.find_spec("Cython") is None or shutil.which(compiler) is None:
        pytest.skip("NOT TESTED: the compiled coders need Cython and a C compiler to be built (`make compiled`)")
    folder = tmp_path_factory.mktemp("compiled") / "source"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("build", "*.c", "*.so", "*.egg-info"))
    command = [sys.executable, "-c", "import setuptools; setuptools.setup()", "-q", "build_ext", "--inplace"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="session")
def compiled(built: Path) -> dict[Schema, CompiledCoders]:
    """The coders of every schema set, loaded past `sys.modules`: other tests of this process stay pure."""
    (library,) = [path for path in (built / DISTRIBUTION).iterdir() if path.suffix in (".so", ".pyd")]
    spec = importlib.util.spec_from_file_location(f"{DISTRIBUTION}.coders", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = {}
    for schema in SCHEMAS:
        roots = {kind: code for kind, (code, _) in coders(schema).ROOT_ENCODERS.items()}
        made[schema] = module.Coders(coders(schema).DOCUMENT_BITS, roots)
    return made


@pytest.fixture(autouse=True)
def pure(monkeypatch: pytest.MonkeyPatch) -> None:
    """`encode` and `decode` are the pure ones here, whatever is installed."""
    monkeypatch.setattr(codec_module, "compiled_coders", lambda schema: None)


def parts(value: Any) -> Iterator[Any]:
    """A message and everything in it."""
    yield value
    for inner in (getattr(value, field.name) for field in value.FIELDS) if isinstance(value, Node) else ():
        for one in inner if isinstance(inner, list) else [inner]:
            yield from parts(one)


def is_left_to_the_pure(message: Message) -> bool:
    """What the compiled coders need not do: signatures, text beyond ASCII, and serial numbers beyond 64 bits."""
    return any(
        (isinstance(part, Node) and part.STATES is not None)
        or (isinstance(part, str) and not part.isascii())
        or (isinstance(part, X509IssuerSerial) and not -(2**63) <= part.x509_serial_number < 2**63)
        for part in parts(message)
    )


def check(coder: CompiledCoders, schema: Schema, data: bytes) -> bool:
    """Decode by both; whether the compiled coder did it."""
    message = coder.decode(data)
    if message is None:
        return False
    expected = decode(schema, data, limit=len(data), strict=True)
    assert type(message) is type(expected)
    assert message == expected
    assert repr(message) == repr(expected)
    assert message.deviations == ()
    assert coder.encode(message) == encode(message) == data
    return True


def test_vectors(compiled: dict[Schema, CompiledCoders]) -> None:
    count = 0
    for message, data in read_vectors():
        coder = compiled[message.SCHEMA]
        if is_left_to_the_pure(message):
            assert coder.encode(message) is None
            assert coder.decode(data) is None
        else:
            assert coder.encode(message) == data
            assert check(coder, message.SCHEMA, data)
            count += 1
    assert count >= 500


def test_random_messages_of_every_class(compiled: dict[Schema, CompiledCoders]) -> None:
    """Until every class has been done by the compiled coders; signatures themselves never are."""
    maker = MessageMaker(33)
    for schema in SCHEMAS:
        pending = message_classes(schema)
        for _ in range(3 if schema is Schema.XMLDSIG else 100):
            for cls in list(pending):
                message = maker.make(cls)
                data = encode(message)
                assert compiled[schema].encode(message) in (data, None)
                if check(compiled[schema], schema, data):
                    pending.remove(cls)
                else:
                    assert is_left_to_the_pure(message)
        assert not pending or schema is Schema.XMLDSIG


def test_mutated_frames(compiled: dict[Schema, CompiledCoders]) -> None:
    rng = random.Random(34)
    frames = [(message.SCHEMA, data) for message, data in read_vectors()]
    done = 0
    for _ in range(8000):
        schema, data = rng.choice(frames)
        frame = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            if rng.random() < 0.5:
                frame[rng.randrange(1, len(frame))] = rng.choice((0, 255, 127, 128, rng.randrange(256)))
            else:
                frame[rng.randrange(1, len(frame))] ^= 1 << rng.randrange(8)
        if rng.random() < 0.1:
            frame = frame[: rng.randrange(len(frame))]
        done += check(compiled[schema], schema, bytes(frame))
    assert 500 < done < 7500


def test_every_truncation_and_any_tail_is_left_to_the_pure(compiled: dict[Schema, CompiledCoders]) -> None:
    coder = compiled[Schema.ISO20_COMMON]
    data = encode(SessionStopRes(HEADER, ResponseCode.OK))
    assert coder.decode(data) == SessionStopRes(HEADER, ResponseCode.OK)
    for other in (*(data[:length] for length in range(len(data))), data + b"\0", data[:-1] + bytes([data[-1] | 1])):
        assert coder.decode(other) is None


@pytest.mark.parametrize("header", [0x00, 0x81, 0x90, 0xA0, 0xC0])
def test_another_header_is_left_to_the_pure(compiled: dict[Schema, CompiledCoders], header: int) -> None:
    data = encode(SessionStopRes(HEADER, ResponseCode.OK))
    assert compiled[Schema.ISO20_COMMON].decode(bytes([header]) + data[1:]) is None


@pytest.mark.parametrize("message", [message for message, _ in CASES])
def test_what_the_encoder_refuses_is_left_to_the_pure(
    compiled: dict[Schema, CompiledCoders], message: Message
) -> None:
    assert compiled[message.SCHEMA].encode(message) is None


def test_a_message_without_its_attributes_is_left_to_the_pure(compiled: dict[Schema, CompiledCoders]) -> None:
    assert compiled[Schema.ISO20_COMMON].encode(SessionSetupReq.__new__(SessionSetupReq)) is None


@pytest.mark.parametrize("value", [0, 127, 128, 2**32, 2**63 - 1, 2**63, 2**64 - 1])
def test_unsigned_integers_of_64_bits(compiled: dict[Schema, CompiledCoders], value: int) -> None:
    message = SessionStopRes(MessageHeader(bytes(8), value), ResponseCode.OK)
    assert compiled[Schema.ISO20_COMMON].encode(message) == encode(message)
    assert check(compiled[Schema.ISO20_COMMON], Schema.ISO20_COMMON, encode(message))


@pytest.mark.parametrize("count", [1, 2, 16, 17, 2047, 2048])
def test_long_lists(compiled: dict[Schema, CompiledCoders], count: int) -> None:
    data = encode(profile(count))
    assert compiled[Schema.ISO20_COMMON].encode(profile(count)) == data
    assert check(compiled[Schema.ISO20_COMMON], Schema.ISO20_COMMON, data)


def test_without_the_distribution_all_is_pure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, DISTRIBUTION, None)
    monkeypatch.delenv("EVSE_CONTROLLER_CODERS", raising=False)
    assert compiled_coders.__wrapped__(Schema.ISO20_DC) is None
    monkeypatch.setenv("EVSE_CONTROLLER_CODERS", "compiled")
    with pytest.raises(RuntimeError, match="not installed"):
        compiled_coders.__wrapped__(Schema.ISO20_DC)
    monkeypatch.setenv("EVSE_CONTROLLER_CODERS", "fast")
    with pytest.raises(RuntimeError, match="pure or compiled"):
        compiled_coders.__wrapped__(Schema.ISO20_DC)


class Stub:
    """In place of the distribution."""

    def __init__(self, bits: int, roots: dict[type[Message], int]) -> None:
        self.bits, self.roots = bits, roots

    def decode(self, data: bytes) -> Message | None:
        return None

    def encode(self, message: Message) -> bytes | None:
        return b"" if type(message) in self.roots else None


def test_pure_does_without_the_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, DISTRIBUTION, SimpleNamespace(Coders=Stub))  # type: ignore[arg-type]
    monkeypatch.setenv("EVSE_CONTROLLER_CODERS", "pure")
    assert compiled_coders.__wrapped__(Schema.ISO20_DC) is None
    for wanted in "", "compiled":
        monkeypatch.setenv("EVSE_CONTROLLER_CODERS", wanted)
        assert isinstance(compiled_coders.__wrapped__(Schema.ISO20_DC), Stub)


def test_the_compiled_coders_are_asked_first_and_the_pure_decide_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    message = SessionStopRes(HEADER, ResponseCode.OK)
    data = encode(message)
    monkeypatch.setattr(codec_module, "compiled_coders", lambda schema: Stub(6, {SessionStopRes: 0}))
    assert encode(message) == b""
    assert decode(Schema.ISO20_COMMON, data) == message
    assert encode(SessionSetupReq(HEADER, "x")) != b""
    with pytest.raises(ExiError, match="bytes where 5 are allowed"):
        decode(Schema.ISO20_COMMON, data, limit=5)


def test_with_the_distribution_results_stay_the_same(built: Path) -> None:
    """What is clean comes from the compiled coders, and what is not has its deviations and errors as ever."""
    code = (
        "from evse_controller.messages import *\n"
        "from evse_controller.messages.backend import compiled_coders\n"
        f"data = bytes.fromhex('{encode(SessionStopRes(HEADER, ResponseCode.OK)).hex()}')\n"
        "assert compiled_coders(Schema.ISO20_COMMON).decode(data) == decode(Schema.ISO20_COMMON, data)\n"
        "assert encode(decode(Schema.ISO20_COMMON, data)) == data\n"
        "print(len(decode(Schema.ISO20_COMMON, data + bytes(2)).deviations))\n"
        "try:\n    decode(Schema.ISO20_COMMON, data[:-1])\n"
        "except ExiError as error:\n    print(error)\n"
    )
    printed = []
    for wanted in "pure", "compiled":
        script = code if wanted == "compiled" else "\n".join(code.splitlines()[:3] + code.splitlines()[5:])
        environment = {"PYTHONPATH": f"{built}{os.pathsep}{SOURCE.parent}", "EVSE_CONTROLLER_CODERS": wanted}
        result = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        printed.append(result.stdout)
    assert printed[0] == printed[1]
    assert printed[0].startswith("1\nISO20_COMMON, SessionStopRes")
