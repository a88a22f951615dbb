"""The fuzz campaign's committed corpus, its second encoder, and the test of the test: planted defects turn it red."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from evse_controller.messages import ExiError, Message, Node, Schema, decode, encode
from evse_controller.messages.fragments import decode_fragment
from evse_controller.messages.generated.app_protocol import SupportedAppProtocolRes
from tests.campaign import exi_fuzz, exi_fuzz_guided, exi_fuzz_oracle
from tests.campaign.exi_fuzz_corpus import FILE, read_corpus, select, selector
from tests.campaign.exi_fuzz_heavy import MOST, heavy_frame
from tests.campaign.exi_fuzz_mutate import ObjectMutator
from tests.campaign.exi_fuzz_oracle import Finding, Judge
from tests.campaign.exi_fuzz_pieces import Writer
from tests.campaign.exi_grammar import message_classes
from tests.campaign.exi_messages import MessageMaker

Decode = Callable[[Schema, bytes], Message]
SCHEMA = Schema.APP_PROTOCOL
ROOT = Path(exi_fuzz.__file__).resolve().parent.parent.parent


def test_the_corpus_is_decoded_as_everything_must_be() -> None:
    judge = Judge(patience=4)  # how long each may take is the campaign's to judge
    for schema, frame in read_corpus():
        judge.judge(schema, frame)
    assert judge.tally.executed > 2000
    # What is read without deviations is covered by the vectors already.
    assert judge.tally.deviating > 40


def test_the_corpus_knows_every_schema_and_stays_small() -> None:
    assert {schema for schema, _ in read_corpus()} == set(Schema)
    assert FILE.stat().st_size < 300_000


def test_the_first_octet_selects_the_schema() -> None:
    for schema in Schema:
        assert select(selector(schema) + b"\x80\x00") == (schema, b"\x80\x00")


@pytest.mark.parametrize("schema", list(Schema), ids=lambda schema: schema.name)
def test_the_second_encoder_gives_the_same_bytes(schema: Schema) -> None:
    for number, cls in enumerate(message_classes(schema)):
        message = MessageMaker(number).make(cls)
        document = Writer().document(message)
        assert document.data() == encode(message)
        ends = [piece.start + piece.width for piece in document.pieces]
        assert [piece.start for piece in document.pieces] == [0, *ends[:-1]]


def test_changed_objects_are_written_though_the_product_refuses_them() -> None:
    rng = random.Random(1)
    messages = [MessageMaker(n).make(cls) for n, cls in enumerate(message_classes(Schema.ISO20_DC))]
    mutator = ObjectMutator(rng, messages)
    refused = 0
    for _ in range(300):
        message = mutator.changed(rng.choice(messages))
        data = Writer().document(message).data()
        try:
            assert encode(message) == data
        except ExiError:
            refused += 1
    assert 50 < refused < 300


def crashes(schema: Schema, data: bytes) -> Message:
    if len(data) % 7 == 0:
        raise KeyError(data[0])
    return decode(schema, data)


def recurses(schema: Schema, data: bytes) -> Message:
    return recurses(schema, data) if len(data) % 7 == 0 else decode(schema, data)


def exhausts_memory(schema: Schema, data: bytes) -> Message:
    if len(data) % 7 == 0:
        raise MemoryError
    return decode(schema, data)


def hangs(schema: Schema, data: bytes) -> Message:
    while len(data) % 7 == 0:
        try:
            time.process_time()
        except Exception:  # a timer that raises an ordinary exception would be swallowed here
            continue
    return decode(schema, data)


def dawdles(schema: Schema, data: bytes) -> Message:
    started = time.process_time()
    while len(data) % 97 == 5 and time.process_time() - started < 0.06:
        pass
    return decode(schema, data)


def forgets_the_path(schema: Schema, data: bytes) -> Message:
    try:
        return decode(schema, data)
    except ExiError as error:
        error.steps.clear()
        raise


def forgets_the_schema(schema: Schema, data: bytes) -> Message:
    try:
        return decode(schema, data)
    except ExiError as error:
        error.schema = ""
        raise


def forgets_the_place(schema: Schema, data: bytes) -> Message:
    try:
        return decode(schema, data)
    except ExiError as error:
        error.offset = None
        raise


def says_no_reason(schema: Schema, data: bytes) -> Message:
    try:
        return decode(schema, data)
    except ExiError as error:
        error.reason = ""
        raise


def misreads(schema: Schema, data: bytes) -> Message:
    message = decode(schema, data)
    if isinstance(message, SupportedAppProtocolRes):
        message.schema_id = 3
    return message


def gives_no_message(schema: Schema, data: bytes) -> Message:
    decode(schema, data)
    return None  # type: ignore[return-value]


def allocates_first(schema: Schema, data: bytes) -> Message:
    bytearray(1 << 20)
    return decode(schema, data)


PLANTED = [
    crashes, recurses, exhausts_memory, hangs, dawdles, forgets_the_path, forgets_the_schema, forgets_the_place,
    says_no_reason, misreads, gives_no_message, allocates_first,
]


@pytest.fixture(scope="module")
def seeds() -> exi_fuzz.Seeds:
    return exi_fuzz.Seeds([SCHEMA])


def test_without_a_defect_the_campaign_is_green(seeds: exi_fuzz.Seeds) -> None:
    tally = exi_fuzz.share(seeds, 2000, "1")
    assert tally.executed >= 2000
    assert 100 < tally.accepted < 1900
    assert tally.peak_bytes > 0
    assert tally.grown_blocks < 100


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_defect_turns_the_campaign_red(
    planted: Decode, seeds: exi_fuzz.Seeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exi_fuzz_oracle, "decode", planted)
    monkeypatch.setattr(exi_fuzz_oracle, "HANG_S", 1.0)
    what = {hangs: "no end after", dawdles: "decoding takes"}.get(planted, "")
    with pytest.raises(Finding, match=f"APP_PROTOCOL [0-9a-f]*: .*{what}"):
        exi_fuzz.share(seeds, 2000, "1")


def test_growth_turns_the_campaign_red(seeds: exi_fuzz.Seeds, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bytes] = []

    def grows(schema: Schema, data: bytes) -> Message:
        kept.append(b"%d" % len(kept))
        return decode(schema, data)

    monkeypatch.setattr(exi_fuzz_oracle, "decode", grows)
    # At the smallest scale the last frames tell, judged again; in a long run what comes behind the warm-up does too.
    with pytest.raises(AssertionError, match=r"growth: \d{3} frames left \d+ blocks"):
        exi_fuzz.share(seeds, 1000, "1")
    monkeypatch.setattr(exi_fuzz_oracle, "WARM_UP", 1000)
    monkeypatch.setattr(exi_fuzz_oracle, "GROWTH_BLOCKS", 1000)
    with pytest.raises(AssertionError, match=r"growth: \d{4} frames left \d+ blocks"):
        exi_fuzz.share(seeds, 3000, "1")


@pytest.mark.parametrize(("strictly", "what"), [
    (decode, "strict decoding accepts what deviates"),
    (lambda schema, data: decode(schema, data[:-1], strict=True), "accepted without deviation, but not strictly"),
])
def test_strict_decoding_that_differs_turns_the_campaign_red(
    strictly: Decode, what: str, seeds: exi_fuzz.Seeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exi_fuzz_oracle, "strictly", strictly)
    with pytest.raises(Finding, match=what):
        exi_fuzz.share(seeds, 2000, "1")


def test_a_defect_in_fragments_turns_the_campaign_red(monkeypatch: pytest.MonkeyPatch) -> None:
    def misread(schema: Schema, data: bytes) -> tuple[str, Node]:
        element, node = decode_fragment(schema, data)
        if hasattr(node, "id"):
            node.id = "another"
        return element, node

    signed = exi_fuzz.Seeds([Schema.XMLDSIG])
    judge = Judge()
    for schema, frame in exi_fuzz.fragments(random.Random(1), signed):
        judge.judge(schema, frame, fragment=True)
    assert judge.tally.fragments == judge.tally.executed
    assert 5 < judge.tally.accepted < judge.tally.fragments - 5
    monkeypatch.setattr(exi_fuzz_oracle, "decode_fragment", misread)
    monkeypatch.setattr(exi_fuzz, "FRAGMENTS", 1.0)
    with pytest.raises(Finding, match="a fragment that is encoded otherwise"):
        exi_fuzz.share(signed, 500, "1")


def test_the_frames_that_cost_most_are_among_the_mutations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many tolerable faults behind much content, so that a bound on the readings is what keeps them quick."""
    monkeypatch.setattr(exi_fuzz.Seeds, "_grown", lambda *_: [])  # takes seconds, and nothing here begins with them
    signed = exi_fuzz.Seeds([Schema.ISO2])
    rng = random.Random(1)
    frames = [heavy_frame(rng, signed.messages[Schema.ISO2]) for _ in range(30)]
    assert max(map(len, frames)) > 6000
    assert all(len(frame) <= MOST for frame in frames)
    cut = deviating = 0
    for frame in frames:
        try:
            deviating += bool(decode(Schema.ISO2, frame).deviations)
        except ExiError as error:
            cut += error.reason.startswith("the data end")
    assert cut > 5
    assert deviating > 5


def test_a_defect_in_a_worker_process_reaches_the_campaign(
    seeds: exi_fuzz.Seeds, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exi_fuzz, "Seeds", lambda vectors: seeds)
    monkeypatch.setattr(exi_fuzz_guided, "available", lambda: False)
    assert exi_fuzz.run(0.0002, 1) >= 1000
    assert "atheris is not installed" in capsys.readouterr().out.splitlines()[-1]
    monkeypatch.setattr(exi_fuzz_oracle, "decode", crashes)
    with pytest.raises(Finding, match="KeyError"):
        exi_fuzz.run(0.0002, 1)


@pytest.mark.skipif(not exi_fuzz_guided.available(), reason="atheris (extra fuzz) is not installed")
def test_a_defect_in_the_coverage_guided_process_reaches_the_campaign(tmp_path: Path) -> None:
    planted = (
        "import tests.campaign.exi_fuzz_guided as guided, tests.campaign.exi_fuzz_oracle as oracle\n"
        "def crash(schema, data): raise KeyError('planted')\n"
        "oracle.decode = crash\n"
        # what the campaign instruments and begins with takes seconds
        "import atheris, contextlib, tests.campaign.exi_vectors as vectors\n"
        "atheris.instrument_imports, vectors.read_vectors = lambda include: contextlib.nullcontext(), lambda: []\n"
        "import sys; guided.main(sys.argv[1], ['-atheris_runs=50', f'-artifact_prefix={sys.argv[2]}/', sys.argv[2]])\n"
    )
    arguments = [str(tmp_path / "result"), str(tmp_path)]
    command = [sys.executable, "-c", planted, *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode
    assert "KeyError: 'planted'" in result.stdout + result.stderr
    assert not (tmp_path / "result").exists()
