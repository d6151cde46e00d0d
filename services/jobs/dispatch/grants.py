"""Signs what agents obey."""

import time
from collections.abc import Mapping

import msgspec
from nacl.exceptions import CryptoError

from contracts.agents import GRANT_HEADER, SIGNATURE_HEADER, Grant, Verb
from runtime.signing import Signer, seal
from services.jobs.dispatch.receipts import Receipts


class Unsealable(ValueError):
    """The host's box key is not one, so nothing can be sealed to it."""


class Grants:
    def __init__(self, signer: Signer, instance: str, receipts: Receipts) -> None:
        self._signer, self._instance, self._receipts = signer, instance, receipts

    def headers(
        self,
        verb: Verb,
        host: str,
        *,
        sha256: str,
        lasts_s: float,
        task: str = "",
        body_key: str = "",
        sealed: str = "",
    ) -> dict[str, str]:
        """Headers of a command; `sha256` is of the plain body."""
        now = time.time()
        grant = Grant(
            kid=self._signer.key_id,
            verb=verb,
            task=task,
            host=host,
            instance=self._instance,
            issued=now,
            not_after=now + lasts_s,
            sha256=sha256,
            body_key=body_key,
            sealed=sealed,
            receipt=self._receipts.promise(task, host) if task else "",
        )
        data = msgspec.json.encode(grant)
        return {GRANT_HEADER: data.decode(), SIGNATURE_HEADER: self._signer.sign(data)}


def sealed_parameters(values: Mapping[str, str], box_key: str) -> str:
    """Values that only one host can read. Raises Unsealable."""
    try:
        return seal(msgspec.json.encode(values), box_key)
    except (ValueError, TypeError, CryptoError) as error:
        raise Unsealable from error
