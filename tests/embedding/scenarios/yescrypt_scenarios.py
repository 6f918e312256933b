"""pyyescrypt: a hash of a password, and its check."""

import pyyescrypt

known = pyyescrypt.generate_hash("correct horse")


def call() -> None:
    assert pyyescrypt.verify_hash("correct horse", known)


own = call
