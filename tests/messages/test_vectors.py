"""Every committed vector of EXIficient: same bytes out, same message in, same message through JSON."""

import json

from evse_controller.messages import decode, encode, from_json, to_json
from tests.campaign.exi_messages import SCHEMAS, MessageMaker, message_classes
from tests.campaign.exi_vectors import read_vectors


def test_vectors_are_byte_identical() -> None:
    count = 0
    seen = set()
    for message, data in read_vectors():
        assert encode(message) == data
        assert decode(message.SCHEMA, data) == message
        seen.add(type(message))
        count += 1
    assert count >= 1000
    assert seen == {cls for schema in SCHEMAS for cls in message_classes(schema)}


def test_random_messages_survive_exi_and_json() -> None:
    maker = MessageMaker(20)
    for _ in range(4):
        for schema in SCHEMAS:
            for cls in message_classes(schema):
                message = maker.make(cls)
                assert decode(schema, encode(message)) == message
                assert from_json(schema, json.loads(json.dumps(to_json(message)))) == message
