"""Paho as a peer that a test drives: one JSON command per line on stdin, one JSON event per line on stdout.

Bytes travel as text (UTF-8), correlation data too. Ends with stdin, politely; `vanish` ends without DISCONNECT.
"""
import json
import os
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

options = json.loads(sys.argv[1])
is_level5 = options["level"] == 5
output = threading.Lock()

FIELDS = {
    "contentType": "ContentType",
    "responseTopic": "ResponseTopic",
    "correlationData": "CorrelationData",
    "payloadFormatIndicator": "PayloadFormatIndicator",
    "messageExpiryIntervalSec": "MessageExpiryInterval",
    "userProperties": "UserProperty",
    "sessionExpiryIntervalSec": "SessionExpiryInterval",
    "willDelayIntervalSec": "WillDelayInterval",
}


def tell(event, **fields):
    with output:
        sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
        sys.stdout.flush()


def to_properties(kind, fields):
    if not is_level5 or not fields:
        return None
    properties = Properties(kind)
    for name, value in fields.items():
        if name == "correlationData":
            value = value.encode()
        if name == "userProperties":
            value = [tuple(pair) for pair in value]
        setattr(properties, FIELDS[name], value)
    return properties


def from_properties(properties):
    found = {}
    for name, theirs in FIELDS.items():
        value = getattr(properties, theirs, None)
        if value is not None:
            found[name] = value.decode() if isinstance(value, bytes) else value
    return found


def on_connect(client, userdata, flags, code, properties=None):
    tell("connack", reasonCode=getattr(code, "value", code), sessionPresent=bool(flags["session present"]))


def on_subscribe(client, userdata, packet_id, codes, properties=None):
    tell("suback", reasonCodes=[getattr(code, "value", code) for code in codes])


def on_message(client, userdata, message):
    properties = from_properties(message.properties) if is_level5 else {}
    fields = {"topicName": message.topic, "payload": message.payload.decode(), "qos": message.qos}
    tell("message", retain=bool(message.retain), properties=properties, **fields)


def on_publish(client, userdata, packet_id):
    tell("published")


def on_disconnect(client, userdata, code, properties=None):
    tell("disconnected", reasonCode=getattr(code, "value", code))


client = mqtt.Client(
    options["clientId"],
    clean_session=None if is_level5 else options["clean"],
    protocol=mqtt.MQTTv5 if is_level5 else mqtt.MQTTv311,
    transport=options["transport"],
    reconnect_on_failure=False,
)
if options["transport"] == "websockets":
    client.ws_set_options(path="/mqtt")
for handler in (on_connect, on_subscribe, on_message, on_publish, on_disconnect):
    setattr(client, handler.__name__, handler)
if "will" in options:
    will = options["will"]
    properties = to_properties(PacketTypes.WILLMESSAGE, will.get("properties"))
    client.will_set(will["topicName"], will["payload"], will["qos"], will["retain"], properties)
connect = {}
if is_level5:
    connect["clean_start"] = options["clean"]
    connect["properties"] = to_properties(PacketTypes.CONNECT, options.get("properties"))
client.connect("127.0.0.1", options["port"], options["keepAliveSec"], **connect)
client.loop_start()

for line in sys.stdin:
    command = json.loads(line)
    if command["do"] == "subscribe":
        if is_level5:
            as_published = command.get("retainAsPublished", False)
            wanted = SubscribeOptions(qos=command["qos"], retainAsPublished=as_published)
            client.subscribe(command["topicFilter"], options=wanted)
        else:
            client.subscribe(command["topicFilter"], command["qos"])
    elif command["do"] == "publish":
        properties = to_properties(PacketTypes.PUBLISH, command.get("properties"))
        client.publish(command["topicName"], command["payload"], command["qos"], command["retain"], properties)
    elif command["do"] == "vanish":
        os._exit(0)
client.disconnect()
client.loop_stop()
