"""Whom TLS trusts: the system's store, and one more anchor if the operator names one."""

import ssl

from feishu_ws.faults import Fault, FeishuWsError


class Trust:
    """Makes the TLS context when it is first needed; reading the store takes some 30 ms.

    Args:
        ca_file: PEM file of one more trust anchor, "" for none.
    """

    def __init__(self, ca_file: str = "") -> None:
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context, the same one every time.

        Raises:
            FeishuWsError: `config_invalid`, the file cannot be read or holds no certificate.
        """
        if self._context is None:
            context = ssl.create_default_context()
            if self._ca_file:
                self._add(context)
            self._context = context
        return self._context

    def _add(self, context: ssl.SSLContext) -> None:
        try:
            context.load_verify_locations(cafile=self._ca_file)
        except OSError as exc:  # ssl.SSLError is one
            raise FeishuWsError(
                Fault.CONFIG_INVALID,
                f"upstream.ca_file {self._ca_file}: {exc.strerror or exc}, expected PEM certificates",
            ) from exc
