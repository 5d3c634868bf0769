"""Secrets at rest: `webhookAuth` is encrypted before it reaches a file. Fernet (AES-128-CBC with HMAC-SHA256).

The key is `service.secret_key`, or made once in the data directory with mode 0600. Whoever has both the
database and the key file can read the secrets; keep them apart by setting `service.secret_key` from a vault.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from fsbridge.errors import ConfigError
from fsbridge.store.base import StoreError

KEY_FILE = "secret.key"


class SecretBox:
    """Seals texts with one key. Raises ConfigError unless the key is a Fernet key (32 bytes, base64url)."""

    def __init__(self, key: str | bytes) -> None:
        try:
            self._fernet = Fernet(key)
        except ValueError as error:
            raise ConfigError(
                ("service.secret_key: not a Fernet key; make one with `openssl rand -base64 32 | tr '+/' '-_'`",)
            ) from error

    def seal(self, text: str) -> str:
        """The text encrypted, as ASCII."""
        # surrogatepass: JSON may carry lone surrogates, and a secret must come back exactly.
        return self._fernet.encrypt(text.encode("utf-8", "surrogatepass")).decode("ascii")

    def open(self, sealed: str) -> str:
        """The inverse. Raises StoreError if it was sealed with another key or changed."""
        try:
            return self._fernet.decrypt(sealed.encode("ascii")).decode("utf-8", "surrogatepass")
        except (InvalidToken, UnicodeError) as error:
            raise StoreError(
                "a stored secret cannot be decrypted: service.secret_key (or secret.key in the data directory) "
                "is not the key it was written with; put the old key back"
            ) from error


def load_box(configured: str | None, data_dir: Path) -> SecretBox:
    """The box for the configured key, else for the one in `data_dir`, which is made at the first start.

    Raises ConfigError for a bad key and StoreError if the key file can be neither read nor made.
    """
    if configured:
        return SecretBox(configured)
    path = data_dir / KEY_FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_key(path)
        return SecretBox(path.read_bytes().strip())
    except OSError as error:
        raise StoreError(f"{path}: the key for stored secrets cannot be read or made: {error.strerror}") from error


def _make_key(path: Path) -> None:
    """The file whole or not at all: half a key, left by a full disk, would stop every later start."""
    handle, draft = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(Fernet.generate_key() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        # A link, not a renaming: of two processes starting at once one makes the key, the other reads it.
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)
