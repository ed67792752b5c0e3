#!/usr/bin/env python3
"""Writes xxpsk0.json: a first contact as this product makes it, by another implementation.

The handshake is computed by `noiseprotocol` 0.3.1 of PyPI (MIT), which shares no code with snow:

    python3 -m venv /tmp/noise && /tmp/noise/bin/pip install noiseprotocol==0.3.1
    /tmp/noise/bin/python generate_xxpsk0.py > xxpsk0.json

Every input is fixed, so the output is the same each time.
"""

import json
import sys

from noise.connection import Keypair, NoiseConnection

NAME = "Noise_XXpsk0_25519_AESGCM_SHA256"
PSK = bytes(range(32))
# Version 1, pattern 1 (first contact), and the key's generation: in clear before message 1.
PROLOGUE = bytes.fromhex("0101deadbeef")
KEYS = {
    "init_static": bytes([0x11] * 32),
    "init_ephemeral": bytes([0x22] * 32),
    "resp_static": bytes([0x33] * 32),
    "resp_ephemeral": bytes([0x44] * 32),
}
# Handshake payloads are empty; then each side sends twice in turn.
PAYLOADS = [b"", b"", b"", b"to the device", b"to the appliance", b"", bytes(range(256))]


def peer(side):
    connection = NoiseConnection.from_name(NAME.encode())
    connection.set_psks(psks=[PSK])
    connection.set_prologue(PROLOGUE)
    connection.set_keypair_from_private_bytes(Keypair.STATIC, KEYS[f"{side}_static"])
    connection.set_keypair_from_private_bytes(Keypair.EPHEMERAL, KEYS[f"{side}_ephemeral"])
    return connection


def main():
    device, appliance = peer("init"), peer("resp")
    device.set_as_initiator()
    appliance.set_as_responder()
    device.start_handshake()
    appliance.start_handshake()

    messages = []
    sender, receiver = device, appliance
    for payload in PAYLOADS:
        if sender.handshake_finished:
            sealed = sender.encrypt(payload)
            opened = receiver.decrypt(sealed)
        else:
            sealed = sender.write_message(payload)
            opened = receiver.read_message(sealed)
        assert opened == payload
        messages.append({"payload": payload.hex(), "ciphertext": bytes(sealed).hex()})
        sender, receiver = receiver, sender

    vector = {
        "protocol_name": NAME,
        "init_prologue": PROLOGUE.hex(),
        "init_psks": [PSK.hex()],
        "init_static": KEYS["init_static"].hex(),
        "init_ephemeral": KEYS["init_ephemeral"].hex(),
        "resp_prologue": PROLOGUE.hex(),
        "resp_psks": [PSK.hex()],
        "resp_static": KEYS["resp_static"].hex(),
        "resp_ephemeral": KEYS["resp_ephemeral"].hex(),
        "handshake_hash": device.get_handshake_hash().hex(),
        "messages": messages,
    }
    json.dump({"vectors": [vector]}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
