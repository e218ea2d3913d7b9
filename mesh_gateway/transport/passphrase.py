"""Private keys that ask for a passphrase, while there is nobody to be asked."""

from __future__ import annotations


def no_passphrase() -> str:
    """As `password` of `SSLContext.load_cert_chain`, without which OpenSSL asks at the terminal, if there is one, and all
    waits for an answer. Raises `OSError`.
    """
    raise OSError("the private key asks for a passphrase; use one that does not, readable by this user alone")
