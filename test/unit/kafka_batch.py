#!/usr/bin/env python3
"""Writes kafka_batch.h: batches in Kafka's record batch v2, made from its
documentation alone, for comparison with what src/log/record.c makes."""

import struct


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def varint(n):
    n = n << 1 if n >= 0 else (-n << 1) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def bytestring(b):
    return varint(-1) if b is None else varint(len(b)) + b


def record(ts_delta, offset_delta, key, value, headers):
    body = b"\0" + varint(ts_delta) + varint(offset_delta)
    body += bytestring(key) + bytestring(value) + varint(len(headers))
    for k, v in headers:
        body += bytestring(k) + bytestring(v)
    return varint(len(body)) + body


def batch(records, attributes=0, producer=(-1, -1, -1), base_offset=0, epoch=0):
    base = records[0][0]
    first = records[0][1]
    body = b"".join(record(ts - base, offset - first, *rest) for ts, offset, *rest in records)
    tail = struct.pack(">hiqqqhii", attributes, records[-1][1] - first, base,
                       max(r[0] for r in records), *producer, len(records)) + body
    after_length = struct.pack(">ibI", epoch, 2, crc32c(tail)) + tail
    return struct.pack(">qi", base_offset, len(after_length)) + after_length


def dump(name, data):
    lines = [", ".join("0x%02x" % b for b in data[i:i + 12]) for i in range(0, len(data), 12)]
    return "static const unsigned char %s[] = {\n\t%s\n};\n" % (name, ",\n\t".join(lines))


assert crc32c(b"123456789") == 0xE3069283

print("/* Made by kafka_batch.py; do not edit. */\n")
print(dump("batch_one", batch([(1700000000000, 0, None, b"hello", [])])))
print(dump("batch_mixed", batch([
    (1700000000000, 0, b"key", b"value", []),
    (1699999999990, 1, None, None, []),
    (1700000100000, 2, b"", b"", [(b"h", b"v"), (b"h", None), (b"", b"")]),
    (1700000000001, 3, b"k" * 63, b"v" * 200, []),
    (1700000000000, 4, b"k" * 64, b"\x00\xff" * 150, [(b"trace", b"\x80" * 130)]),
])))
print(dump("batch_gap_producer", batch([
    (0, 100, b"a", b"1", []),
    (5, 103, b"b", b"2", []),
    (7, 100000, b"c", b"3", []),
], attributes=8, producer=(4711, 3, 99), base_offset=100, epoch=7)), end="")
