"""A process that is connected to NATS and does nothing else, for its memory. Started by bench.idle with a Python that
has nothing but what an agent needs; so it imports nothing of ours.

Arguments: URL, credentials file, CA file, prefix of its inbox.
"""

import asyncio
import ssl
import sys

from nats.aio.client import Client


async def main(url: str, credentials: str, ca: str, inbox: str) -> None:
    client = Client()
    await client.connect(
        servers=[url],
        user_credentials=credentials,
        tls=ssl.create_default_context(cafile=ca),
        tls_handshake_first=True,
        inbox_prefix=inbox,
    )
    print("connected", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
