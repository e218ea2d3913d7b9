"""Opening connections to one origin: its addresses in turn, and in which word of the attempt's outcome each way to fail ends."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from mesh_gateway.delivery.connection import Connection, Exchange
from mesh_gateway.delivery.resolve import AddressRefused, NameNotFound, Resolver


class Opener:
    """Opens them. Safe to call concurrently."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._resolver = Resolver(host, port)

    async def open_for(
        self,
        exchange: Exchange,
        made: Callable[[], Connection],
        ready: Callable[[Connection, Exchange], None],
    ) -> None:
        """Give `ready` an open connection, which `made` has made, or tell the exchange why there is none.

        Raises nothing. Cancelled, it tells nobody, and leaves no connection.
        """
        try:
            async with asyncio.timeout_at(exchange.deadline):
                connection = await self._connect(made)
        except AddressRefused as error:
            exchange.failed(exchange.context, str(error))
        except NameNotFound:
            exchange.failed(exchange.context, "name not found")
        except TimeoutError:
            exchange.failed(exchange.context, "timeout")
        except ssl.SSLCertVerificationError as error:
            exchange.failed(exchange.context, f"tls: certificate verify failed: {error.verify_message}")
        except ssl.SSLError as error:
            exchange.failed(exchange.context, f"tls: {(error.reason or 'handshake failed').lower()}")
        except ConnectionRefusedError:
            exchange.failed(exchange.context, "connection refused")
        except ConnectionError:
            exchange.failed(exchange.context, "connection reset")
        except OSError as error:
            exchange.failed(exchange.context, f"cannot connect: {error.strerror or error}")
        else:
            ready(connection, exchange)

    async def _connect(self, made: Callable[[], Connection]) -> Connection:
        """A connection to the first address that answers."""
        loop = asyncio.get_running_loop()
        failure: OSError | None = None
        for address in await self._resolver.addresses():
            try:
                _, connection = await loop.create_connection(
                    made,
                    address,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls is not None else None,
                )
            except OSError as error:
                failure = failure or error
            else:
                return connection
        raise failure or ConnectionRefusedError
