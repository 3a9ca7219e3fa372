"""Reads messages of 64 bytes, one read(2) each, and takes it for granted that each read returns a whole one."""

import os
import sys

MESSAGE_BYTES = 64

messages = 0
while message := os.read(0, MESSAGE_BYTES):
    if len(message) != MESSAGE_BYTES or message.index(b".") != MESSAGE_BYTES - 1:
        sys.exit(f"message {messages + 1} is damaged: {len(message)} bytes")
    messages += 1
print(f"{messages} messages")
