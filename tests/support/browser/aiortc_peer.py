"""A WebRTC end that is no browser: aiortc, driven over JSON lines. It offers, takes the answer, plays a tone and tells what it
hears."""

import asyncio
import fractions
import json
import math
import sys

from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame

RATE_HZ = 48000
FRAME = 960


class Tone(MediaStreamTrack):
    kind = "audio"

    def __init__(self, hz):
        super().__init__()
        self.hz, self.at = hz, 0
        self.start = asyncio.get_event_loop().time()

    async def recv(self):
        due = self.start + self.at / RATE_HZ - asyncio.get_event_loop().time()
        if due > 0:
            await asyncio.sleep(due)
        samples = bytearray()
        for n in range(self.at, self.at + FRAME):
            samples += int(8000 * math.sin(2 * math.pi * self.hz * n / RATE_HZ)).to_bytes(2, "little", signed=True)
        frame = AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(bytes(samples))
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, self.at, fractions.Fraction(1, RATE_HZ)
        self.at += FRAME
        return frame


def power_at(samples, rate, hz):
    """Share of a tone in all power, by Goertzel."""
    step = 2 * math.cos(2 * math.pi * hz / rate)
    one = two = 0.0
    for sample in samples:
        one, two = sample + step * one - two, one
    tone = (one * one + two * two - step * one * two) * 2 / len(samples) ** 2
    total = sum(sample * sample for sample in samples) / len(samples)
    return tone / total if total else 0.0


async def main():
    connection = RTCPeerConnection()
    heard = []

    async def listen(track):
        try:
            while True:
                frame = await track.recv()
                data = bytes(frame.planes[0])[: frame.samples * len(frame.layout.channels) * 2]
                step = 2 * len(frame.layout.channels)
                new = [int.from_bytes(data[at : at + 2], "little", signed=True) for at in range(0, len(data), step)]
                heard.append((frame.sample_rate, new))
                del heard[:-25]
        except MediaStreamError:
            pass

    connection.on("track", lambda track: asyncio.ensure_future(listen(track)))
    reader = asyncio.StreamReader()
    await asyncio.get_event_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps({"ready": True}), flush=True)
    while line := await reader.readline():
        command = json.loads(line)
        answer = {}
        if command["do"] == "offer":
            connection.addTrack(Tone(command["hz"]))
            await connection.setLocalDescription(await connection.createOffer())
            answer = {"sdp": connection.localDescription.sdp}
        elif command["do"] == "take":
            await connection.setRemoteDescription(RTCSessionDescription(command["sdp"], "answer"))
        elif command["do"] == "answer":
            await connection.setRemoteDescription(RTCSessionDescription(command["sdp"], "offer"))
            connection.addTrack(Tone(command["hz"]))
            await connection.setLocalDescription(await connection.createAnswer())
            answer = {"sdp": connection.localDescription.sdp}
        elif command["do"] == "hear":
            samples = [sample for _, new in heard for sample in new]
            rate = heard[-1][0] if heard else 8000
            share = power_at(samples, rate, command["hz"]) if samples else 0
            answer = {"share": share, "samples": len(samples), "state": connection.connectionState}
        print(json.dumps(answer), flush=True)
    await connection.close()


asyncio.run(main())
