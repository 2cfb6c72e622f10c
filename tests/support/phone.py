"""A real SIP phone (PJSIP) driven by JSON lines, for the end-to-end tests.

One process is one phone. A line on standard input is a command, `{"id": 7, "cmd": "call", "uri": "sip:bob@example.com"}`;
a line on standard output is its answer, `{"id": 7, "ok": true, "call": 1}` or `{"id": 7, "ok": false, "error": "..."}`, or
an event, `{"event": "state", "call": 1, "state": "confirmed", "code": 200, "reason": "OK"}`. PJSIP's own log goes to
standard error. There is no sound device: a null device gives the conference bridge its clock, tones are generated and
received audio is measured here.

Everything of PJSIP runs on the main thread; only audio frames arrive on the bridge's clock thread, and they do nothing
there but fill a bounded buffer.
"""

import json
import os
import queue
import sys
import threading

import pjsua2 as pj

from measure import CLOCK_RATE_HZ, measure

FRAME_SAMPLES = 160  # 20 ms at CLOCK_RATE_HZ, one RTP packet
LISTEN_MAX_MS = 10_000
CALLS_MAX = 16
POLL_MS = 5

STATES = {
    pj.PJSIP_INV_STATE_NULL: "null",
    pj.PJSIP_INV_STATE_CALLING: "calling",
    pj.PJSIP_INV_STATE_INCOMING: "incoming",
    pj.PJSIP_INV_STATE_EARLY: "early",
    pj.PJSIP_INV_STATE_CONNECTING: "connecting",
    pj.PJSIP_INV_STATE_CONFIRMED: "confirmed",
    pj.PJSIP_INV_STATE_DISCONNECTED: "disconnected",
}

MEDIA = {
    pj.PJSUA_CALL_MEDIA_NONE: "none",
    pj.PJSUA_CALL_MEDIA_ACTIVE: "active",
    pj.PJSUA_CALL_MEDIA_LOCAL_HOLD: "local_hold",
    pj.PJSUA_CALL_MEDIA_REMOTE_HOLD: "remote_hold",
    pj.PJSUA_CALL_MEDIA_ERROR: "error",
}

TRANSPORTS = {
    "udp": pj.PJSIP_TRANSPORT_UDP,
    "tcp": pj.PJSIP_TRANSPORT_TCP,
    "tls": pj.PJSIP_TRANSPORT_TLS,
}


class Ear(pj.AudioMediaPort):
    """Collects what one call receives while somebody listens."""

    def __init__(self, phone, name):
        super().__init__()
        self.phone = phone
        self.request = None
        self.wanted = 0
        self.samples = []
        form = pj.MediaFormatAudio()
        form.init(pj.PJMEDIA_FORMAT_PCM, CLOCK_RATE_HZ, 1, 20_000, 16)
        self.createPort(name, form)

    def listen(self, request, ms):
        if self.request is not None:
            raise ValueError("this call is already being listened to")
        self.samples = []
        self.wanted = CLOCK_RATE_HZ * ms // 1000
        self.request = request

    def onFrameReceived(self, frame):
        if self.request is None:
            return
        data = bytes(frame.buf)[: frame.size] if frame.type == pj.PJMEDIA_FRAME_TYPE_AUDIO else b""
        if not data:
            data = bytes(2 * FRAME_SAMPLES)
        self.samples.extend(memoryview(data).cast("h"))
        if len(self.samples) >= self.wanted:
            self.phone.commands.put(("heard", self.request, self.samples))
            self.request = None


class Call(pj.Call):
    """One leg, seen by the phone under a small number of its own."""

    def __init__(self, phone, account, number, call_id=pj.PJSUA_INVALID_ID):
        super().__init__(account, call_id)
        self.phone = phone
        self.number = number
        self.ear = None
        self.mouth = None

    def audio(self):
        # The binding frees a temporary's inner objects with it: each is held by a name while it is looked into.
        info = self.getInfo()
        for index, media in enumerate(info.media):
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status in (
                pj.PJSUA_CALL_MEDIA_ACTIVE,
                pj.PJSUA_CALL_MEDIA_REMOTE_HOLD,
            ):
                return self.getAudioMedia(index)
        return None

    def onCallState(self, prm):
        info = self.getInfo()
        self.phone.tell(
            event="state",
            call=self.number,
            state=STATES[info.state],
            code=info.lastStatusCode,
            reason=info.lastReason,
            remote=info.remoteUri,
            sip_call_id=info.callIdString,
        )
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            # Not destroyed inside its own callback: the main loop drops it.
            self.phone.commands.put(("gone", self.number, None))

    def onCallMediaState(self, prm):
        state = "none"
        info = self.getInfo()
        for media in info.media:
            if media.type == pj.PJMEDIA_TYPE_AUDIO:
                state = MEDIA[media.status]
        self.connect()
        self.phone.tell(event="media", call=self.number, media=state)

    def connect(self):
        """Joins ear and mouth to the stream: PJSIP makes a new stream at each offer and answer."""
        audio = self.audio()
        if audio is None:
            return
        if self.ear is None:
            self.ear = Ear(self.phone, f"ear-{self.number}")
        audio.startTransmit(self.ear)
        if self.mouth is not None:
            self.mouth.startTransmit(audio)

    def say(self, hz, on_ms=1000, off_ms=0):
        """Plays a tone, steady or in a cadence, at about -10 dBm0, or nothing when hz is None."""
        if self.mouth is not None:
            self.mouth.stop()
            self.mouth = None
        if hz is None:
            return
        self.mouth = pj.ToneGenerator()
        self.mouth.createToneGenerator(CLOCK_RATE_HZ)
        tone = pj.ToneDesc()
        tone.freq1, tone.freq2, tone.on_msec, tone.off_msec = hz, 0, on_ms, off_ms
        tone.volume = 7800
        tones = pj.ToneDescVector()
        tones.append(tone)
        self.mouth.play(tones, True)
        self.connect()

    def dial(self, digits):
        """Plays keys as tones, 100 ms each with as much of pause."""
        self.mouth = pj.ToneGenerator()
        self.mouth.createToneGenerator(CLOCK_RATE_HZ)
        keys = pj.ToneDigitVector()
        for digit in digits:
            key = pj.ToneDigit()
            key.digit, key.on_msec, key.off_msec, key.volume = digit, 100, 100, 0
            keys.append(key)
        self.connect()
        self.mouth.playDigits(keys, False)

    def onDtmfDigit(self, prm):
        by_info = prm.method == pj.PJSUA_DTMF_METHOD_SIP_INFO
        self.phone.tell(event="dtmf", call=self.number, digit=prm.digit, method="info" if by_info else "event")

    def onCallSdpCreated(self, prm):
        if self.phone.without_events:
            # Its payload type, and all that is said of it.
            lines = prm.sdp.wholeSdp.splitlines()
            of = [line.split(":")[1].split()[0] for line in lines if "telephone-event" in line]
            kept = [line for line in lines if not any(line.startswith((f"a=rtpmap:{pt} ", f"a=fmtp:{pt} ")) for pt in of)]
            audio = lambda line: " ".join(word for word in line.split() if word not in of)
            prm.sdp.wholeSdp = "\r\n".join(audio(line) if line.startswith("m=audio") else line for line in kept) + "\r\n"

    def onCallTransferRequest(self, prm):
        # PJSIP makes the new call itself and asks for the object that is to stand for it.
        made = self.phone.adopt(None)
        prm.newCall = made
        self.phone.tell(event="transfer_request", call=self.number, to=prm.dstUri, new_call=made.number)

    def onCallTransferStatus(self, prm):
        self.phone.tell(
            event="transfer", call=self.number, code=prm.statusCode, reason=prm.reason, final=bool(prm.finalNotify)
        )

    def onCallReplaceRequest(self, prm):
        taken = self.phone.adopt(None)
        prm.newCall = taken
        self.phone.tell(event="replaced", call=self.number, new_call=taken.number)

    def onInstantMessage(self, prm):
        self.phone.tell(event="message", **{"from": prm.fromUri}, text=prm.msgBody, call=self.number)


class Account(pj.Account):
    def __init__(self, phone):
        super().__init__()
        self.phone = phone

    def onRegState(self, prm):
        info = self.getInfo()
        self.phone.tell(
            event="registered" if info.regIsActive else "unregistered",
            code=prm.code,
            reason=prm.reason,
            expires_s=prm.expiration,
        )

    def onIncomingCall(self, prm):
        call = self.phone.adopt(prm.callId)
        info = call.getInfo()
        self.phone.tell(
            event="incoming",
            call=call.number,
            **{"from": info.remoteUri},
            to=info.localUri,
            sip_call_id=info.callIdString,
            request=prm.rdata.wholeMsg,
        )

    def onMwiInfo(self, prm):
        self.phone.tell(event="mwi", state=prm.state, request=prm.rdata.wholeMsg)

    def onInstantMessage(self, prm):
        self.phone.tell(event="message", **{"from": prm.fromUri}, text=prm.msgBody)

    def onInstantMessageStatus(self, prm):
        self.phone.tell(event="message_status", to=prm.toUri, code=prm.code, reason=prm.reason)


class Buddy(pj.Buddy):
    def __init__(self, phone):
        super().__init__()
        self.phone = phone

    def onBuddyState(self):
        info = self.getInfo()
        self.phone.tell(
            event="presence",
            uri=info.uri,
            subscription=info.subStateName,
            code=info.subTermCode,
            status=info.presStatus.statusText,
        )


class Phone:
    """The commands, one method each: `do_<cmd>` gets the command's fields and returns those of its answer."""

    def __init__(self):
        self.without_events = False
        self.commands = queue.Queue()
        self.mute = threading.Lock()
        self.calls = {}
        self.buddies = {}
        self.next_number = 1
        self.account = None
        self.endpoint = pj.Endpoint()
        self.running = True
        # PJSIP logs to file descriptor 1: that one becomes standard error, and the answers keep the real one.
        self.out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    # ---- the two directions of the pipe

    def tell(self, **line):
        with self.mute:
            self.out.write(json.dumps(line) + "\n")
            self.out.flush()

    def read(self):
        for line in sys.stdin:
            self.commands.put(("line", line, None))
        # The test ended or died: so does its phone.
        self.commands.put(("line", '{"id": 0, "cmd": "quit"}', None))

    # ---- life

    def start(self):
        self.endpoint.libCreate()
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.maxCalls = CALLS_MAX
        config.uaConfig.userAgent = "strowger-test-phone"
        config.logConfig.level = int(os.environ.get("PHONE_LOG_LEVEL", "4"))
        config.logConfig.consoleLevel = config.logConfig.level
        config.logConfig.msgLogging = 1
        config.medConfig.clockRate = CLOCK_RATE_HZ
        config.medConfig.sndClockRate = CLOCK_RATE_HZ
        config.medConfig.audioFramePtime = 20
        config.medConfig.ecOptions = 0
        config.medConfig.ecTailLen = 0
        config.medConfig.noVad = True
        self.endpoint.libInit(config)
        ports = {}
        for name, kind in TRANSPORTS.items():
            transport = pj.TransportConfig()
            transport.port = 0
            transport.boundAddress = "127.0.0.1"
            if name == "tls":
                # The lab's certificate is one that the switch made for itself.
                transport.tlsConfig.verifyServer = False
            number = self.endpoint.transportCreate(kind, transport)
            ports[name] = int(self.endpoint.transportGetInfo(number).localName.rsplit(":", 1)[1])
        self.endpoint.libStart()
        self.endpoint.audDevManager().setNullDev()
        for codec in self.endpoint.codecEnum2():
            wanted = codec.codecId.startswith(("PCMU/8000", "PCMA/8000"))
            self.endpoint.codecSetPriority(codec.codecId, 200 if wanted else 0)
        threading.Thread(target=self.read, daemon=True).start()
        self.tell(event="ready", version=self.endpoint.libVersion().full, ports=ports)

    def run(self):
        self.start()
        while self.running:
            self.endpoint.libHandleEvents(POLL_MS)
            while True:
                try:
                    kind, first, second = self.commands.get_nowait()
                except queue.Empty:
                    break
                if kind == "line":
                    self.obey(first)
                elif kind == "heard":
                    self.tell(id=first, ok=True, **measure(second))
                else:
                    self.drop(first)
        # Without libDestroy's second of waiting: the process ends, and what is said was said.
        sys.stdout.flush()
        os._exit(0)

    def obey(self, line):
        number = None
        try:
            command = json.loads(line)
            number = command.pop("id")
            name = command.pop("cmd")
            if name == "listen":
                self.listen(number, **command)
                return
            fields = getattr(self, "do_" + name)(**command) or {}
            self.tell(id=number, ok=True, **fields)
        except pj.Error as error:
            self.tell(id=number, ok=False, error=error.info())
        except Exception as error:  # a wrong command must be told, not kill the phone
            self.tell(id=number, ok=False, error=f"{type(error).__name__}: {error}")

    # ---- calls by number

    def adopt(self, call_id):
        number = self.next_number
        self.next_number += 1
        if call_id is None:
            call = Call(self, self.account, number)
        else:
            call = Call(self, self.account, number, call_id)
        self.calls[number] = call
        return call

    def find(self, number):
        if number is None:
            if not self.calls:
                raise ValueError("the phone has no call")
            number = max(self.calls)
        if number not in self.calls:
            raise ValueError(f"the phone has no call {number}")
        return self.calls[number]

    def drop(self, number):
        call = self.calls.pop(number, None)
        if call is not None and call.ear is not None and call.ear.request is not None:
            self.tell(id=call.ear.request, ok=False, error="the call ended while it was listened to")
            call.ear.request = None

    # ---- commands

    def do_register(
        self,
        user,
        password,
        registrar,
        domain,
        transport="udp",
        expires_s=300,
        auth_user=None,
        register=True,
        session_timers="optional",
        prack="optional",
        direct=False,
        srtp="off",
        suites=(),
        mwi=False,
    ):
        """Makes the phone's account; registrar is "ip:port". The event `registered` or `unregistered` follows.

        A phone that is `direct` sends its requests where their URI points, and not through the registrar. SRTP is `off`,
        `optional` or `required`, with all of PJSIP's suites or the named ones, by SDES.
        """
        target = f"sip:{registrar};transport={transport}"
        config = pj.AccountConfig()
        config.idUri = f"sip:{user}@{domain}"
        config.regConfig.registerOnAdd = register
        config.mwiConfig.enabled = mwi
        config.regConfig.timeoutSec = expires_s
        config.regConfig.retryIntervalSec = 0
        config.regConfig.registrarUri = f"sip:{domain}"
        if not direct:
            config.sipConfig.proxies.append(target + ";lr")
        config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", auth_user or user, 0, password))
        config.natConfig.contactRewriteUse = 0
        config.natConfig.viaRewriteUse = 0
        config.natConfig.sdpNatRewriteUse = 0
        config.natConfig.sipOutboundUse = 0
        config.natConfig.iceEnabled = False
        config.mediaConfig.srtpUse = {
            "off": pj.PJMEDIA_SRTP_DISABLED,
            "optional": pj.PJMEDIA_SRTP_OPTIONAL,
            "required": pj.PJMEDIA_SRTP_MANDATORY,
        }[srtp]
        # What may travel where is the switch's to say here.
        config.mediaConfig.srtpSecureSignaling = 0
        config.mediaConfig.srtpOpt.keyings.append(pj.PJMEDIA_SRTP_KEYING_SDES)
        for name in suites:
            crypto = pj.SrtpCrypto()
            crypto.name = name
            config.mediaConfig.srtpOpt.cryptos.append(crypto)
        config.mediaConfig.transportConfig.port = 0
        config.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
        config.callConfig.prackUse = {
            "off": pj.PJSUA_100REL_NOT_USED,
            "optional": pj.PJSUA_100REL_OPTIONAL,
            "required": pj.PJSUA_100REL_MANDATORY,
        }[prack]
        config.callConfig.timerUse = {
            "off": pj.PJSUA_SIP_TIMER_INACTIVE,
            "optional": pj.PJSUA_SIP_TIMER_OPTIONAL,
            "required": pj.PJSUA_SIP_TIMER_REQUIRED,
        }[session_timers]
        if self.account is not None:
            raise ValueError("this phone has an account: one process is one phone")
        self.account = Account(self)
        self.account.create(config)

    def do_unregister(self):
        self.account.setRegistration(False)

    def do_reregister(self):
        self.account.setRegistration(True)

    def do_codecs(self, names):
        for codec in self.endpoint.codecEnum2():
            wanted = codec.codecId.split("/")[0] in names
            self.endpoint.codecSetPriority(codec.codecId, 200 if wanted else 0)

    def do_call(self, uri, headers=None):
        call = self.adopt(None)
        prm = pj.CallOpParam(True)
        for name, value in (headers or {}).items():
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            prm.txOption.headers.append(header)
        try:
            call.makeCall(uri, prm)
        except pj.Error:
            self.calls.pop(call.number, None)
            raise
        return {"call": call.number}

    def do_answer(self, call=None, code=200, reason=""):
        prm = pj.CallOpParam(True)
        prm.statusCode, prm.reason = code, reason
        self.find(call).answer(prm)

    def do_hangup(self, call=None, code=0):
        prm = pj.CallOpParam(True)
        prm.statusCode = code
        self.find(call).hangup(prm)

    def do_hold(self, call=None):
        self.find(call).setHold(pj.CallOpParam(True))

    def do_unhold(self, call=None):
        prm = pj.CallOpParam(True)
        prm.opt.flag |= pj.PJSUA_CALL_UNHOLD
        self.find(call).reinvite(prm)

    def do_update(self, call=None):
        self.find(call).update(pj.CallOpParam(True))

    def do_blind_transfer(self, to, call=None):
        self.find(call).xfer(to, pj.CallOpParam(True))

    def do_attended_transfer(self, to_call, call=None):
        self.find(call).xferReplaces(self.find(to_call), pj.CallOpParam(True))

    def do_without_events(self):
        self.without_events = True

    def do_dial_tones(self, digits, call=None):
        self.find(call).dial(digits)

    def do_dtmf(self, digits, method="event", call=None):
        prm = pj.CallSendDtmfParam()
        prm.method = pj.PJSUA_DTMF_METHOD_SIP_INFO if method == "info" else pj.PJSUA_DTMF_METHOD_RFC2833
        prm.digits = digits
        self.find(call).sendDtmf(prm)

    def do_play_tone(self, hz, call=None):
        self.find(call).say(hz)

    def do_play_cadence(self, hz, on_ms, off_ms, call=None):
        self.find(call).say(hz, on_ms, off_ms)

    def do_play_silence(self, call=None):
        self.find(call).say(None)

    def listen(self, request, ms, call=None):
        """Measures the next `ms` of received audio; the answer comes when so many frames have arrived."""
        found = self.find(call)
        if not 0 < ms <= LISTEN_MAX_MS:
            raise ValueError(f"listen for 1 to {LISTEN_MAX_MS} ms")
        if found.ear is None:
            raise ValueError("the call has no audio yet")
        found.ear.listen(request, ms)

    def do_statistics(self, call=None):
        """Packets and losses of the call's RTP stream, both ways."""
        statistics = self.find(call).getStreamStat(0)
        rtcp = statistics.rtcp
        return {
            "sent": rtcp.txStat.pkt,
            "received": rtcp.rxStat.pkt,
            "lost": rtcp.rxStat.loss,
            "duplicated": rtcp.rxStat.dup,
            "reordered": rtcp.rxStat.reorder,
        }

    def do_describe(self, call=None):
        """PJSIP's account of the call, with the state of its SRTP."""
        return {"text": self.find(call).dump(True, "")}

    def buddy(self, uri, **options):
        if uri not in self.buddies:
            config = pj.BuddyConfig()
            config.uri = uri
            config.subscribe = False
            self.buddies[uri] = Buddy(self)
            self.buddies[uri].create(self.account, config)
        return self.buddies[uri]

    def do_message(self, uri, text):
        prm = pj.SendInstantMessageParam()
        prm.contentType, prm.content = "text/plain", text
        self.buddy(uri).sendInstantMessage(prm)

    def do_subscribe(self, uri, on=True):
        """Subscribes to a user's `presence` package (RFC 3856), or ends the subscription."""
        self.buddy(uri).subscribePresence(on)

    def do_quit(self):
        self.running = False


if __name__ == "__main__":
    Phone().run()
