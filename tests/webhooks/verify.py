"""The official Standard Webhooks verifier, asked by tests/it/webhooks.rs.

Reads one JSON object a line, {"secret", "headers", "body" (base64)}, and answers each with a line:
"accepted", or "rejected: " and why. Needs `pip install standardwebhooks`.
"""

import base64
import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def judge(line: str) -> str:
    asked = json.loads(line)
    try:
        body = base64.b64decode(asked["body"])
        Webhook(asked["secret"]).verify(body, asked["headers"], json_parse=False)
    except WebhookVerificationError as error:
        return f"rejected: {error}"
    return "accepted"


for line in sys.stdin:
    print(judge(line), flush=True)
