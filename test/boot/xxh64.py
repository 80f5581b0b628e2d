# SPDX-License-Identifier: MIT
# XXH64 (Yann Collet, xxHash specification 0.1.1), for repairing checksums of patched test files.
import struct

MASK = (1 << 64) - 1
PRIME = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)


def rotate(value, bits):
    return (value << bits | value >> (64 - bits)) & MASK


def mix(lane, word):
    return rotate((lane + word * PRIME[1]) & MASK, 31) * PRIME[0] & MASK


def xxh64(data, seed=0):
    position = 0
    if len(data) >= 32:
        lanes = [
            (seed + PRIME[0] + PRIME[1]) & MASK,
            (seed + PRIME[1]) & MASK,
            seed,
            (seed - PRIME[0]) & MASK,
        ]
        for words in struct.iter_unpack("<4Q", data[: len(data) // 32 * 32]):
            lanes = [mix(lane, word) for lane, word in zip(lanes, words)]
        position = len(data) // 32 * 32
        value = sum(rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18))) & MASK
        for lane in lanes:
            value = ((value ^ mix(0, lane)) * PRIME[0] + PRIME[3]) & MASK
    else:
        value = (seed + PRIME[4]) & MASK
    value = (value + len(data)) & MASK
    while position + 8 <= len(data):
        word = struct.unpack_from("<Q", data, position)[0]
        value = (rotate(value ^ mix(0, word), 27) * PRIME[0] + PRIME[3]) & MASK
        position += 8
    if position + 4 <= len(data):
        word = struct.unpack_from("<I", data, position)[0]
        value = (rotate(value ^ word * PRIME[0] & MASK, 23) * PRIME[1] + PRIME[2]) & MASK
        position += 4
    for byte in data[position:]:
        value = rotate(value ^ byte * PRIME[4] & MASK, 11) * PRIME[0] & MASK
    for shift, prime in ((33, PRIME[1]), (29, PRIME[2]), (32, None)):
        value ^= value >> shift
        value = value * prime & MASK if prime else value
    return value
