"""A WebRTC end that is no browser: aiortc, driven over JSON lines. It offers, takes the answer, plays a tone and tells what it
hears; and it may draw a picture, and tells what it sees."""

import asyncio
import fractions
import json
import math
import sys

from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, VideoFrame

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


class Picture(MediaStreamTrack):
    """A field of one lightness, with a spot that moves."""

    kind = "video"
    WIDTH, HEIGHT, RATE_HZ = 320, 240, 15

    def __init__(self, light):
        super().__init__()
        self.light, self.at = light, 0
        self.start = asyncio.get_event_loop().time()

    async def recv(self):
        due = self.start + self.at / self.RATE_HZ - asyncio.get_event_loop().time()
        if due > 0:
            await asyncio.sleep(due)
        frame = VideoFrame(width=self.WIDTH, height=self.HEIGHT, format="yuv420p")
        field = bytearray([self.light]) * (frame.planes[0].line_size * self.HEIGHT)
        spot = self.at * 8 % (self.WIDTH - 16)
        for line in range(16):
            place = (self.HEIGHT // 2 + line) * frame.planes[0].line_size + spot
            field[place : place + 16] = bytes([16]) * 16
        frame.planes[0].update(bytes(field))
        for plane in frame.planes[1:]:
            plane.update(bytes([128]) * (plane.line_size * self.HEIGHT // 2))
        frame.pts, frame.time_base = self.at * 90000 // self.RATE_HZ, fractions.Fraction(1, 90000)
        self.at += 1
        return frame


def offer_picture(connection, codec, light):
    """Adds a picture in one codec; the track, to draw on."""
    picture = Picture(light)
    transceiver = connection.addTransceiver(picture, direction="sendrecv")
    known = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([c for c in known if c.mimeType.lower() == f"video/{codec.lower()}"])
    return picture


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
    seen = {"frames": 0, "light": None}
    picture = None

    async def watch(track):
        try:
            while True:
                frame = (await track.recv()).reformat(format="yuv420p")
                plane = frame.planes[0]
                # The first line of the field, where no spot is.
                sample = bytes(plane)[: frame.width]
                seen["frames"] += 1
                seen["light"] = sum(sample) / len(sample)
        except MediaStreamError:
            pass

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

    follow = {"audio": listen, "video": watch}
    connection.on("track", lambda track: asyncio.ensure_future(follow[track.kind](track)))
    reader = asyncio.StreamReader()
    await asyncio.get_event_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps({"ready": True}), flush=True)
    while line := await reader.readline():
        command = json.loads(line)
        answer = {}
        if command["do"] == "offer":
            connection.addTrack(Tone(command["hz"]))
            if "video" in command:
                picture = offer_picture(connection, command["video"], command["light"])
            await connection.setLocalDescription(await connection.createOffer())
            answer = {"sdp": connection.localDescription.sdp}
        elif command["do"] == "take":
            await connection.setRemoteDescription(RTCSessionDescription(command["sdp"], "answer"))
        elif command["do"] == "answer":
            await connection.setRemoteDescription(RTCSessionDescription(command["sdp"], "offer"))
            connection.addTrack(Tone(command["hz"]))
            await connection.setLocalDescription(await connection.createAnswer())
            answer = {"sdp": connection.localDescription.sdp}
        elif command["do"] == "draw":
            picture.light = command["light"]
        elif command["do"] == "see":
            answer = {**seen, "state": connection.connectionState}
        elif command["do"] == "hear":
            samples = [sample for _, new in heard for sample in new]
            rate = heard[-1][0] if heard else 8000
            share = power_at(samples, rate, command["hz"]) if samples else 0
            answer = {"share": share, "samples": len(samples), "state": connection.connectionState}
        print(json.dumps(answer), flush=True)
    await connection.close()


asyncio.run(main())
