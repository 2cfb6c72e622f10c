"""A real server of e-mail (aiosmtpd): says its port, then each message that it takes, as a line of JSON."""

import base64
import email
import email.policy
import json
import sys

from aiosmtpd.controller import Controller


def say(**line):
    print(json.dumps(line), flush=True)


class Handler:
    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        sounds = [
            {"name": part.get_filename(), "type": part.get_content_type(),
             "body": base64.b64encode(part.get_content()).decode()}
            for part in message.iter_attachments()
        ]
        body = message.get_body()
        say(to=envelope.rcpt_tos, headers=dict(message.items()), sounds=sounds,
            text=body.get_content() if body else "")
        return "250 OK"


port = int(sys.argv[1])
controller = Controller(Handler(), hostname="127.0.0.1", port=port)
controller.start()
say(ready=True)
sys.stdin.read()
controller.stop()
